/**
 * The messages of a room, and where one is among them.
 *
 * Nothing moves under the reader. Before the rows change, the first row in sight and its place are noted; after, the list
 * is scrolled by as much as that row has moved, whatever was put above it or taken away. Who is at the bottom stays there.
 * The browser's own anchoring is off: not all have it, and two of them fight.
 */
import {useComputed, useSignal, useSignalEffect} from "@preact/signals";
import type {TargetedMouseEvent, TargetedPointerEvent} from "preact";
import {useEffect, useLayoutEffect, useRef} from "preact/hooks";
import {session} from "../../session.ts";
import {t} from "../../words/words.ts";
import {Glyph} from "../glyph.tsx";
import {placeOf as placeAmong} from "../model/stretch.ts";
import {dayText} from "../time.ts";
import {actionsFor, type Desk, placeOf} from "./actions.ts";
import {MessageMenu} from "./menu.tsx";
import {MessageRow, OutgoingRow} from "./message-row.tsx";
import {NoteRow} from "./note-row.tsx";

const EDGE_PX = 800; // so near an end the next page is read: about a screen before it is reached
const BOTTOM_PX = 48; // so near it counts as being there
const LONG_PRESS_MS = 450;
const MOVED_PX = 8;
const LIT_MS = 2_000;

export function Timeline({desk, title, inSight}: {desk: Desk; title: string; inSight: (newest: boolean) => void}) {
  const {talk} = desk;
  const scroller = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const anchor = useRef<{row: Element; top: number} | undefined>(undefined);
  /** `placed`: where one begins was found; `touched`: somebody has gone elsewhere since. */
  const last = useRef({top: 0, placed: false, touched: false});
  const active = useSignal("");
  const away = useSignal(false);
  const rows = talk.rows.value;
  const {connected, beginning, loading, stuck, begun, newer} = talk;
  // These change no row, and yet where to be among them.
  void [talk.live.value, talk.goal.value];

  /** Note where the reader is, before anything changes. */
  const note = (): void => {
    const {current: box} = scroller;
    if (!box || !list.current || talk.following) {
      anchor.current = undefined;
      return;
    }
    const edge = box.getBoundingClientRect().top;
    const row = firstBelow(list.current.children, edge);
    anchor.current = row && {row, top: row.getBoundingClientRect().top};
  };
  note();

  const moved = (): void => {
    const {current: box} = scroller;
    if (!box) return;
    last.current.top = box.scrollTop;
    const left = box.scrollHeight - box.clientHeight - box.scrollTop;
    away.value = left > 2 * BOTTOM_PX || !talk.connected.peek();
    const newest = left < BOTTOM_PX && talk.connected.peek();
    if (newest && talk.following) talk.newer.value = 0;
    inSight(newest);
    if (talk.loading.peek() || talk.stuck.peek() || !talk.begun.peek()) return;
    if (box.scrollTop < EDGE_PX && !talk.beginning.peek()) void talk.older();
    else if (left < EDGE_PX && !talk.connected.peek()) void talk.later();
  };

  const settle = (): void => {
    const {current: box} = scroller;
    if (!box || !list.current) return;
    const goal = talk.goal.peek();
    if (goal) {
      talk.goal.value = undefined;
      last.current.placed = last.current.touched = true;
      // Scrolling that was still going on while the page came may have said otherwise.
      talk.following = goal.seq === Infinity;
      reach(goal.seq);
    } else if (!last.current.placed && !last.current.touched && talk.begun.peek()) {
      last.current.placed = talk.live.peek();
      const divider = list.current.querySelector<HTMLElement>(".unread");
      box.scrollTop = box.scrollHeight;
      // What is new begins further up: one begins to read there.
      if (divider && divider.offsetTop < box.scrollTop) {
        box.scrollTop = divider.offsetTop - box.clientHeight / 4;
        talk.following = false;
      }
    } else if (talk.following) box.scrollTop = box.scrollHeight;
    else if (anchor.current?.row.isConnected) {
      const by = anchor.current.row.getBoundingClientRect().top - anchor.current.top;
      if (Math.abs(by) >= 1) box.scrollTop += by;
    }
    moved();
  };
  useLayoutEffect(settle);

  const reach = (seq: number): void => {
    const {current: box} = scroller;
    if (!box || !list.current) return;
    if (seq === Infinity) {
      box.scrollTop = box.scrollHeight;
      return;
    }
    const messages = [...list.current.querySelectorAll<HTMLElement>("article[data-seq]")];
    const place = placeAmong(messages.map((element) => ({seq: Number(element.dataset.seq)})), seq);
    const row = messages[Math.min(place, messages.length - 1)];
    if (!row) return;
    row.scrollIntoView({block: "center"});
    row.focus({preventScroll: true});
    row.classList.add("lit");
    setTimeout(() => row.classList.remove("lit"), LIT_MS);
  };

  // My mark may come later than the messages: one begins again, unless one has begun already.
  useSignalEffect(() => {
    if (talk.unreadFrom.value && !last.current.touched) last.current.placed = false;
  });
  useSignalEffect(() => {
    if (session.state.value !== "online" || !talk.stuck.peek()) return;
    talk.stuck.value = false;
    queueMicrotask(moved);
  });

  useEffect(() => {
    const {current: box} = scroller;
    if (!box) return;
    const resized = new ResizeObserver(() => {
      if (talk.following) box.scrollTop = box.scrollHeight;
      moved();
    });
    resized.observe(box);
    const seen = (): void => moved();
    addEventListener("focus", seen);
    document.addEventListener("visibilitychange", seen);
    return () => {
      resized.disconnect();
      removeEventListener("focus", seen);
      document.removeEventListener("visibilitychange", seen);
    };
  }, []);

  const scrolled = (): void => {
    const {current: box} = scroller;
    if (!box) return;
    const left = box.scrollHeight - box.clientHeight - box.scrollTop;
    // Going up, however little, is leaving; on the way down the last lines are as good as the bottom.
    talk.following = talk.connected.peek() && (box.scrollTop < last.current.top ? left < 2 : left < BOTTOM_PX);
    moved();
  };
  const leaving = (event: WheelEvent): void => {
    last.current.touched = true;
    if (event.deltaY < 0 && scroller.current && scroller.current.scrollTop > 0) talk.following = false;
  };

  const keys = (event: KeyboardEvent): void => {
    last.current.touched = true;
    const box = list.current!;
    const row = (event.target as Element).closest("article");
    if (event.key === "Escape") {
      event.preventDefault();
      desk.write();
      return;
    }
    const to = event.ctrlKey || event.metaKey || event.altKey ? undefined : rowTo(event.key, row, box, scroller.current!);
    if (to) {
      event.preventDefault();
      to.focus({preventScroll: true});
      to.scrollIntoView({block: "nearest"});
      return;
    }
    if (!row || event.target !== row || event.ctrlKey || event.metaKey || event.altKey) return;
    const message = talk.message(Number(row.dataset.seq));
    if (!message) return;
    if (event.key === "Enter" || event.key === " ") openMenu(event, row);
    else {
      const action = actionsFor(message, desk).find(({key}) => key.toLowerCase() === event.key.toLowerCase());
      if (!action) return;
      event.preventDefault();
      if (action.name === "delete") openMenu(event, row);
      else action.run(message, desk, placeOf(row));
    }
  };
  const openMenu = (event: Event, row: HTMLElement, at = placeOf(row)): void => {
    const message = talk.message(Number(row.dataset.seq));
    if (!message || !actionsFor(message, desk).length) return;
    event.preventDefault();
    desk.open.value = {what: "menu", seq: message.seq, at};
  };
  const press = useRef<{timer: ReturnType<typeof setTimeout>; x: number; y: number} | undefined>(undefined);
  const release = (): void => {
    clearTimeout(press.current?.timer);
    press.current = undefined;
  };
  const pressed = (event: TargetedPointerEvent<HTMLElement>): void => {
    release();
    last.current.touched = true;
    const row = (event.target as Element).closest<HTMLElement>("article[data-seq]");
    if (event.pointerType !== "touch" || !row || (event.target as Element).closest("a, button")) return;
    const at = {left: event.clientX, right: event.clientX, top: event.clientY, bottom: event.clientY};
    press.current = {x: event.clientX, y: event.clientY, timer: setTimeout(() => openMenu(event, row, at), LONG_PRESS_MS)};
  };
  const dragged = (event: PointerEvent): void => {
    const held = press.current;
    if (held && Math.hypot(event.clientX - held.x, event.clientY - held.y) > MOVED_PX) release();
  };
  const menuKey = (event: TargetedMouseEvent<HTMLElement>): void => {
    const row = (event.target as Element).closest<HTMLElement>("article[data-seq]");
    // With a mouse it is the browser's own menu that is wanted; a finger and the menu key mean ours.
    if (row && (event as unknown as PointerEvent).pointerType !== "mouse") openMenu(event, row);
  };
  const point = (event: Event): void => {
    if ((event as PointerEvent).pointerType === "touch") return;
    active.value = (event.target as Element).closest<HTMLElement>("article[data-seq]")?.dataset.seq ?? "";
  };
  const pointed = useComputed(() => Number(desk.open.value?.seq ?? active.value)).value;

  return (
    <div class="timeline">
      <div
        ref={scroller}
        class="scroller"
        role="log"
        aria-live="off"
        aria-label={t("talk.label", {room: title})}
        aria-busy={!begun.value}
        tabIndex={0}
        onScroll={scrolled}
        onWheel={leaving}
        onKeyDown={keys}
        onPointerDown={pressed}
        onPointerMove={dragged}
        onPointerUp={release}
        onPointerCancel={release}
        onContextMenu={menuKey}
        onPointerOver={point}
        onPointerLeave={() => (active.value = "")}
        onFocusIn={point}
      >
        <div ref={list} class="rows">
          <div key="top" class="edge">
            {stuck.value ? (
              <p>
                {t("talk.stuck")}{" "}
                <button type="button" class="plain-button" onClick={() => ((stuck.value = false), moved())}>
                  {t("talk.again")}
                </button>
              </p>
            ) : !begun.value ? (
              t("talk.loading")
            ) : beginning.value ? (
              <p>{rows.some(({kind}) => kind === "message" || kind === "outgoing") ? t("talk.beginning", {room: title}) : t("talk.empty")}</p>
            ) : loading.value === "older" ? (
              t("talk.older")
            ) : null}
          </div>
          {rows.map((row) => {
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
                    <span>{t("talk.unread")}</span>
                  </div>
                );
              case "note":
                return <NoteRow key={row.key} note={row.note} />;
              case "message":
                return <MessageRow key={row.key} message={row.message} first={row.first} next={row.next} active={row.message.seq === pointed} desk={desk} />;
              case "outgoing":
                return <OutgoingRow key={row.key} outgoing={row.outgoing} first={row.first} desk={desk} />;
            }
          })}
          {!connected.value && begun.value && (
            <div key="bottom" class="edge">
              {loading.value === "newer" && t("talk.later")}
            </div>
          )}
        </div>
      </div>
      {away.value && begun.value && (
        <button type="button" class={`newest${newer.value ? " some" : ""}`} onClick={() => talk.newest()} aria-label={newer.value ? t("talk.newer", {n: newer.value}) : t("talk.newest")} title={t("talk.newest")}>
          {newer.value > 0 && <span>{t("talk.newer", {n: newer.value})}</span>}
          <Glyph name="down" />
        </button>
      )}
      <MessageMenu desk={desk} />
    </div>
  );
}

/** The first message whose end is below `edge`; children lie one below the other. */
function firstBelow(children: HTMLCollection, edge: number): Element | undefined {
  let low = 0;
  let high = children.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (children[middle]!.getBoundingClientRect().bottom <= edge) low = middle + 1;
    else high = middle;
  }
  // Days and dividers move when something is put before them; messages stay what they are.
  while (low < children.length && children[low]!.tagName !== "ARTICLE") low += 1;
  return children[low];
}

/** The message that a key leads to: from the one in focus, or from the list to the last one in sight. */
function rowTo(key: string, row: Element | null, list: HTMLElement, box: HTMLElement): HTMLElement | undefined {
  if (!["ArrowUp", "ArrowDown", "Home", "End"].includes(key)) return undefined;
  const all = [...list.querySelectorAll<HTMLElement>("article")];
  if (key === "Home") return all[0];
  if (key === "End") return all.at(-1);
  if (row) return all[all.indexOf(row as HTMLElement) + (key === "ArrowUp" ? -1 : 1)];
  const bottom = box.getBoundingClientRect().bottom;
  return all.findLast((element) => element.getBoundingClientRect().top < bottom - BOTTOM_PX);
}
