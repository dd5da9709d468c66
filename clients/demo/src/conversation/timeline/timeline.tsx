/** The message list of a room: its rows, and mouse, keyboard and touch input. */
import {useComputed, useSignal} from "@preact/signals";
import type {TargetedMouseEvent, TargetedPointerEvent} from "preact";
import {useRef} from "preact/hooks";
import {Icon} from "../../components/icon.tsx";
import {anchorOf, type Anchor} from "../../components/popup.tsx";
import {t} from "../../i18n/i18n.ts";
import type {ConversationContext} from "../context.ts";
import type {Row} from "../model/rows.ts";
import {dayText} from "../time.ts";
import {actionsFor} from "./actions.ts";
import {MessageMenu} from "./message-menu.tsx";
import {MessageRow, OutgoingRow} from "./message-row.tsx";
import {SystemMessageRow} from "./system-message-row.tsx";
import {BOTTOM_PX, useScrolling} from "./scrolling.ts";

const LONG_PRESS_MS = 450;
const LONG_PRESS_MOVE_PX = 8; // a finger that moves further scrolls

export function Timeline({context, title, inSight}: {context: ConversationContext; title: string; inSight: (newest: boolean) => void}) {
  const {conversation} = context;
  const rows = conversation.rows.value;
  const {box, list, isScrolledUp, onMoved, onScroll, onWheel, onTouch} = useScrolling(conversation, inSight);
  const {isAtEnd, isLoaded, isAtBeginning} = conversation;
  const {loadingPart} = conversation.pages;
  const empty = isLoaded.value && isAtBeginning.value && isAtEnd.value && !rows.some(({kind}) => kind === "message" || kind === "outgoing");

  const openMenu = (event: Event, row: HTMLElement, at: Anchor = anchorOf(row)): void => {
    const message = conversation.message(Number(row.dataset.seq));
    if (!message || !actionsFor(message, context).length) return;
    event.preventDefault();
    context.popover.value = {what: "menu", seq: message.seq, at};
  };
  const finger = useLongPress(openMenu);

  const keys = (event: KeyboardEvent): void => {
    onTouch();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const row = (event.target as Element).closest("article");
    const to = rowTo(event.key, row, list.current!, box.current!);
    if (event.key === "Escape") {
      event.preventDefault();
      context.focusComposer();
    } else if (to) {
      event.preventDefault();
      current.value = Number(to.dataset.seq ?? 0);
      to.focus({preventScroll: true});
      to.scrollIntoView({block: "nearest"});
    } else if (row && event.target === row) onMessage(event, row);
  };
  const onMessage = (event: KeyboardEvent, row: HTMLElement): void => {
    const message = conversation.message(Number(row.dataset.seq));
    if (!message) return;
    const action = actionsFor(message, context).find(({key}) => key.toLowerCase() === event.key.toLowerCase());
    if (event.key === "Enter" || event.key === " ") openMenu(event, row);
    else if (action) {
      event.preventDefault();
      action.run(message, context, anchorOf(row));
    }
  };
  const menuKey = (event: TargetedMouseEvent<HTMLElement>): void => {
    const row = rowAt(event);
    // A mouse opens the browser's own context menu; touch and the menu key open ours.
    if (row && (event as unknown as PointerEvent).pointerType !== "mouse") openMenu(event, row);
  };

  /** Tab reaches one message: the one last chosen with the keyboard, or the newest; then the controls in it. */
  const current = useSignal(0);
  const focused = useSignal(0);
  const chosen = useComputed(() => tabStopIn(conversation.rows.value, current.value)).value;

  /**
   * The message that is pointed at or has keyboard focus shows its buttons. This depends on the input event, not on the
   * device, because a device may have both mouse and touch screen. Touch opens the menu instead.
   */
  const active = useSignal("");
  const point = (event: Event): void => {
    active.value = rowAt(event)?.dataset.seq ?? "";
  };
  const pointed = useComputed(() => Number(context.popover.value?.seq ?? active.value)).value;

  return (
    <div class="timeline">
      <div
        ref={box}
        class="scroller"
        role="log"
        aria-live="off"
        aria-label={t("conversation.label", {room: title})}
        aria-busy={!isLoaded.value}
        tabIndex={chosen ? -1 : 0}
        onScroll={onScroll}
        onWheel={onWheel}
        onKeyDown={keys}
        onPointerDown={(event) => (onTouch(), finger.down(event))}
        onPointerMove={finger.move}
        onPointerUp={finger.up}
        onPointerCancel={finger.up}
        onContextMenu={menuKey}
        onPointerOver={(event) => event.pointerType !== "touch" && point(event)}
        onPointerLeave={() => (active.value = "")}
        onFocusIn={(event) => {
          if ((event.target as Element).matches(":focus-visible")) point(event);
          focused.value = Number(rowAt(event)?.dataset.seq ?? 0);
        }}
        onFocusOut={() => (focused.value = 0)}
      >
        <div ref={list} class="rows">
          <TopEdge key="top" context={context} title={title} onRetry={onMoved} />
          {rows.map((row) => renderRow(row, context, pointed, focused.value, chosen))}
          {empty && (
            <p key="empty" class="empty">
              {t("conversation.empty")}
            </p>
          )}
          {!isAtEnd.value && isLoaded.value && (
            <div key="bottom" class="edge">
              {loadingPart.value === "newer" && t("conversation.later")}
            </div>
          )}
        </div>
      </div>
      {isScrolledUp.value && isLoaded.value && <JumpToNewest context={context} />}
      <MessageMenu context={context} />
    </div>
  );
}

function renderRow(row: Row, context: ConversationContext, pointed: number, focused: number, chosen: number) {
  switch (row.kind) {
    case "day":
      return (
        <h3 key={row.key} class="day">
          <span>{dayText(row.atMs)}</span>
        </h3>
      );
    case "unread":
      return (
        <div key={row.key} class="unread" role="separator">
          <span>{t("conversation.unread")}</span>
        </div>
      );
    case "system":
      return <SystemMessageRow key={row.key} message={row.message} about={row.about} />;
    case "message": {
      const {key, message, first, next} = row;
      const {seq} = message;
      const stops = seq === focused ? "all" : seq === chosen ? "row" : "none";
      return <MessageRow key={key} message={message} first={first} next={next} active={seq === pointed} stops={stops} context={context} />;
    }
    case "outgoing":
      return <OutgoingRow key={row.key} outgoing={row.outgoing} first={row.first} context={context} />;
  }
}

/** Shown above the first row: the beginning of the room, loading, or a load error. */
function TopEdge({context, title, onRetry}: {context: ConversationContext; title: string; onRetry: () => void}) {
  const {isLoaded, isAtBeginning} = context.conversation;
  const {hasLoadError, loadingPart} = context.conversation.pages;
  const retry = (): void => {
    hasLoadError.value = false;
    onRetry();
  };
  const text = (): string => {
    if (!isLoaded.value) return t("conversation.loading");
    if (!isAtBeginning.value) return loadingPart.value === "older" ? t("conversation.older") : "";
    return t("conversation.beginning", {room: title});
  };
  return (
    <div class="edge">
      {hasLoadError.value ? t("conversation.loadFailed") : text()}{" "}
      {hasLoadError.value && (
        <button type="button" class="plain-button" onClick={retry}>
          {t("conversation.again")}
        </button>
      )}
    </div>
  );
}

function JumpToNewest({context: {conversation}}: {context: ConversationContext}) {
  const n = conversation.newCount.value;
  const label = n ? t("conversation.newer", {n}) : t("conversation.newest");
  return (
    <button type="button" class={`newest${n ? " some" : ""}`} onClick={() => conversation.jumpToNewest()} aria-label={label} title={t("conversation.newest")}>
      {n > 0 && <span>{label}</span>}
      <Icon name="down" size={18} />
    </button>
  );
}

/** A long press on a message opens its menu. */
function useLongPress(open: (event: Event, row: HTMLElement, at: Anchor) => void) {
  const held = useRef<{timer: ReturnType<typeof setTimeout>; x: number; y: number} | undefined>(undefined);
  const up = (): void => {
    clearTimeout(held.current?.timer);
    held.current = undefined;
  };
  return {
    up,
    down(event: TargetedPointerEvent<HTMLElement>) {
      up();
      const row = rowAt(event);
      if (event.pointerType !== "touch" || !row || (event.target as Element).closest("a, button")) return;
      const {clientX: x, clientY: y} = event;
      const timer = setTimeout(() => open(event, row, {left: x, right: x, top: y, bottom: y}), LONG_PRESS_MS);
      held.current = {x, y, timer};
    },
    move({clientX, clientY}: PointerEvent) {
      if (held.current && Math.hypot(clientX - held.current.x, clientY - held.current.y) > LONG_PRESS_MOVE_PX) up();
    },
  };
}

/** The message that Tab reaches: `current` if it is on the page, otherwise the last one; 0: none. */
function tabStopIn(rows: readonly Row[], current: number): number {
  const seqs = rows.flatMap((row) => (row.kind === "message" ? [row.message.seq] : []));
  return seqs.includes(current) ? current : (seqs.at(-1) ?? 0);
}

/** The message row in which the event happened. */
function rowAt({target}: Event): HTMLElement | null {
  return (target as Element).closest<HTMLElement>("article[data-seq]");
}

/** The message that a key moves to: from the focused one, or from the list to the last one in sight. */
function rowTo(key: string, row: Element | null, list: HTMLElement, box: HTMLElement): HTMLElement | undefined {
  if (!["ArrowUp", "ArrowDown", "Home", "End"].includes(key)) return undefined;
  const all = [...list.querySelectorAll<HTMLElement>("article")];
  if (key === "Home") return all[0];
  if (key === "End") return all.at(-1);
  if (row) return all[all.indexOf(row as HTMLElement) + (key === "ArrowUp" ? -1 : 1)];
  const {bottom} = box.getBoundingClientRect();
  return all.findLast((element) => element.getBoundingClientRect().top < bottom - BOTTOM_PX);
}
