/**
 * The scroll position of the timeline.
 *
 * Messages in sight do not move when rows change. Before a change the first message in sight and its position are noted;
 * afterwards the list is scrolled by as much as that message moved. A list at the bottom stays at the bottom. The browser's
 * own scroll anchoring is off: not all browsers have it, and both together would correct twice.
 *
 * The initial position is the bottom, or the first new message if that is further up. It is set again while missed events
 * still arrive and the user has not scrolled.
 */
import {type Signal, useSignal, useSignalEffect} from "@preact/signals";
import {useEffect, useLayoutEffect, useRef} from "preact/hooks";
import {session} from "../../session/session.ts";
import {insertionIndex} from "../model/timeline-window.ts";
import type {ConversationModel} from "../model/conversation-model.ts";

const EDGE_PX = 800; // at this distance from an end the next page loads: about one screen before it is reached
export const BOTTOM_PX = 48; // at this distance the list counts as being at the bottom
const HIGHLIGHT_MS = 2_000;

export interface Scrolling {
  /** Refs of the scrolling element, and of the element whose children are the rows. */
  readonly box: {current: HTMLDivElement | null};
  readonly list: {current: HTMLDivElement | null};
  /** The newest message is out of sight. */
  readonly isScrolledUp: Signal<boolean>;
  /** Call it when the list was scrolled, or an end may have come into sight for another reason. */
  onMoved(): void;
  onScroll(): void;
  onWheel(event: WheelEvent): void;
  /** The user touched the list. */
  onTouch(): void;
}

/** A hook for the component that renders the rows. `inSight` is called with whether the newest message is in sight. */
export function useScrolling(conversation: ConversationModel, inSight: (newest: boolean) => void): Scrolling {
  const box = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const isScrolledUp = useSignal(false);
  const own = useRef({
    anchor: undefined as {row: Element; bottom: number} | undefined,
    top: 0,
    /** The initial position was set. */
    placed: false,
    /** The user has scrolled. */
    touched: false,
  }).current;
  // Read so that the component renders again: these change no row, but the position.
  void [conversation.isLive.value, conversation.pages.scrollTarget.value];

  const onMoved = (): void => {
    const {current: scroller} = box;
    if (!scroller) return;
    own.top = scroller.scrollTop;
    const left = pixelsBelow(scroller);
    const newest = left < BOTTOM_PX && conversation.isAtEnd.peek();
    isScrolledUp.value = left > 2 * BOTTOM_PX || !conversation.isAtEnd.peek();
    if (newest && conversation.isFollowing) conversation.newCount.value = 0;
    inSight(newest);
    if (conversation.pages.loadingPart.peek() || conversation.pages.hasLoadError.peek() || !conversation.isLoaded.peek()) return;
    if (scroller.scrollTop < EDGE_PX && !conversation.isAtBeginning.peek()) void conversation.pages.loadOlder();
    else if (left < EDGE_PX && !conversation.isAtEnd.peek()) void conversation.pages.loadNewer();
  };

  const scrollTo = (scroller: HTMLElement, rows: HTMLElement, seq: number): void => {
    own.placed = own.touched = true;
    // Momentum scrolling while the page loaded may have changed it.
    conversation.isFollowing = seq === Infinity;
    if (conversation.isFollowing) scroller.scrollTop = scroller.scrollHeight;
    else highlight(rows, seq);
  };

  const scrollToStart = (scroller: HTMLElement, rows: HTMLElement): void => {
    own.placed = conversation.isLive.peek();
    scroller.scrollTop = scroller.scrollHeight;
    const divider = rows.querySelector<HTMLElement>(".unread");
    if (!divider || divider.offsetTop >= scroller.scrollTop) return;
    scroller.scrollTop = divider.offsetTop - scroller.clientHeight / 4;
    conversation.isFollowing = false;
  };

  /** Runs after the rows changed. */
  const restorePosition = (): void => {
    const {current: scroller} = box;
    const {current: rows} = list;
    if (!scroller || !rows) return;
    const target = conversation.pages.scrollTarget.peek();
    conversation.pages.scrollTarget.value = undefined;
    if (target) scrollTo(scroller, rows, target.seq);
    else if (!own.placed && !own.touched && conversation.isLoaded.peek()) scrollToStart(scroller, rows);
    else if (conversation.isFollowing) scroller.scrollTop = scroller.scrollHeight;
    else if (own.anchor?.row.isConnected) {
      const by = own.anchor.row.getBoundingClientRect().bottom - own.anchor.bottom;
      if (Math.abs(by) >= 1) scroller.scrollTop += by;
    }
    onMoved();
  };

  // This runs while the new rows render; the page still shows the old ones.
  own.anchor = conversation.isFollowing || !box.current || !list.current ? undefined : findAnchor(box.current, list.current);
  useLayoutEffect(restorePosition);

  // My read position may arrive after the messages: set the initial position again, unless the user has scrolled.
  useSignalEffect(() => {
    if (conversation.unreadFrom.value && !own.touched) own.placed = false;
  });
  useSignalEffect(() => {
    if (session.state.value !== "online" || !conversation.pages.hasLoadError.peek()) return;
    conversation.pages.hasLoadError.value = false;
    queueMicrotask(onMoved);
  });
  useEffect(() => {
    const {current: scroller} = box;
    if (!scroller) return;
    let edge = scroller.getBoundingClientRect().top;
    const resized = new ResizeObserver(() => {
      // The area above the list changed its height: keep the messages where they are.
      const {top} = scroller.getBoundingClientRect();
      if (conversation.isFollowing) scroller.scrollTop = scroller.scrollHeight;
      else scroller.scrollTop += top - edge;
      edge = top;
      onMoved();
    });
    resized.observe(scroller);
    addEventListener("focus", onMoved);
    document.addEventListener("visibilitychange", onMoved);
    return () => {
      resized.disconnect();
      removeEventListener("focus", onMoved);
      document.removeEventListener("visibilitychange", onMoved);
    };
  }, []);

  return {
    box,
    list,
    isScrolledUp,
    onMoved,
    onScroll() {
      const {current: scroller} = box;
      if (!scroller) return;
      // Not only wheel and touch scroll: the browser's search and screen readers do, too.
      if (scroller.scrollTop < own.top) own.touched = true;
      // Any scrolling up leaves the bottom; scrolling down, the last lines count as the bottom.
      const near = scroller.scrollTop < own.top ? 2 : BOTTOM_PX;
      conversation.isFollowing = conversation.isAtEnd.peek() && pixelsBelow(scroller) < near;
      onMoved();
    },
    onWheel({deltaY}) {
      own.touched = true;
      // While many messages arrive, the list would jump back to the bottom before the wheel moves it.
      if (deltaY < 0 && box.current && box.current.scrollTop > 0) conversation.isFollowing = false;
    },
    onTouch() {
      own.touched = true;
    },
  };
}

/** The part of the list below the visible part, in pixels. */
function pixelsBelow({scrollHeight, clientHeight, scrollTop}: HTMLElement): number {
  return scrollHeight - clientHeight - scrollTop;
}

/** Scroll to the message with this seq, or the next one, and highlight it. */
function highlight(rows: HTMLElement, seq: number): void {
  const messages = [...rows.querySelectorAll<HTMLElement>("article[data-seq]")];
  const index = insertionIndex(messages.map(({dataset}) => ({seq: Number(dataset.seq)})), seq);
  const row = messages[Math.min(index, messages.length - 1)];
  if (!row) return;
  row.scrollIntoView({block: "center"});
  row.focus({preventScroll: true});
  row.classList.add("highlighted");
  setTimeout(() => row.classList.remove("highlighted"), HIGHLIGHT_MS);
}

/** The first message in sight and its bottom edge; its top may change when older messages join its group. Rows are in order. */
function findAnchor(scroller: HTMLElement, {children}: HTMLElement): {row: Element; bottom: number} | undefined {
  const edge = scroller.getBoundingClientRect().top;
  let low = 0;
  let high = children.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (children[middle]!.getBoundingClientRect().bottom <= edge) low = middle + 1;
    else high = middle;
  }
  // Day rows and dividers may move when older rows are added; messages do not.
  while (low < children.length && children[low]!.tagName !== "ARTICLE") low += 1;
  const row = children[low];
  return row && {row, bottom: row.getBoundingClientRect().bottom};
}
