/**
 * Where one is among the messages.
 *
 * Nothing moves under the reader. Before the rows change, the first message in sight and its place are noted; after, the
 * list is scrolled by as much as that message has moved, whatever was put above it or taken away. Who is at the bottom
 * stays there. The browser's own anchoring is off: not all have it, and two of them fight.
 *
 * One begins at the bottom, or where what is new begins if that is further up. It is looked for again as long as what was
 * missed still comes in and nobody has touched the list.
 */
import {type Signal, useSignal, useSignalEffect} from "@preact/signals";
import {useEffect, useLayoutEffect, useRef} from "preact/hooks";
import {session} from "../../session/session.ts";
import {insertionIndex} from "../model/timeline-window.ts";
import type {ConversationModel} from "../model/conversation-model.ts";

const EDGE_PX = 800; // so near an end the next page is read: about a screen before it is reached
export const BOTTOM_PX = 48; // so near it counts as being there
const HIGHLIGHT_MS = 2_000;

export interface Scrolling {
  /** For the element that scrolls, and the one in it whose children are the rows. */
  readonly box: {current: HTMLDivElement | null};
  readonly list: {current: HTMLDivElement | null};
  /** The newest message is out of sight. */
  readonly isScrolledUp: Signal<boolean>;
  /** The list was scrolled, or an end of it may be in sight for another reason. */
  onMoved(): void;
  onScroll(): void;
  onWheel(event: WheelEvent): void;
  /** Somebody has laid a hand on the list. */
  onTouch(): void;
}

/** Call it in the component that draws the rows, each time it does. `inSight`: whether the newest message is. */
export function useScrolling(conversation: ConversationModel, inSight: (newest: boolean) => void): Scrolling {
  const box = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const away = useSignal(false);
  const own = useRef({
    anchor: undefined as {row: Element; bottom: number} | undefined,
    top: 0,
    /** Where one begins was found. */
    placed: false,
    /** Somebody has gone elsewhere since. */
    touched: false,
  }).current;
  // These change no row, and yet where to be among them.
  void [conversation.isLive.value, conversation.scrollTarget.value];

  const moved = (): void => {
    const {current: scroller} = box;
    if (!scroller) return;
    own.top = scroller.scrollTop;
    const left = pixelsBelow(scroller);
    const newest = left < BOTTOM_PX && conversation.isAtEnd.peek();
    away.value = left > 2 * BOTTOM_PX || !conversation.isAtEnd.peek();
    if (newest && conversation.isFollowing) conversation.newCount.value = 0;
    inSight(newest);
    if (conversation.loadingPart.peek() || conversation.hasLoadError.peek() || !conversation.isLoaded.peek()) return;
    if (scroller.scrollTop < EDGE_PX && !conversation.isAtBeginning.peek()) void conversation.loadOlder();
    else if (left < EDGE_PX && !conversation.isAtEnd.peek()) void conversation.loadNewer();
  };

  const scrollTo = (scroller: HTMLElement, rows: HTMLElement, seq: number): void => {
    own.placed = own.touched = true;
    // Scrolling that was still going on while the page came may have said otherwise.
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

  /** After the rows have changed. */
  const restorePosition = (): void => {
    const {current: scroller} = box;
    const {current: rows} = list;
    if (!scroller || !rows) return;
    const goal = conversation.scrollTarget.peek();
    conversation.scrollTarget.value = undefined;
    if (goal) scrollTo(scroller, rows, goal.seq);
    else if (!own.placed && !own.touched && conversation.isLoaded.peek()) scrollToStart(scroller, rows);
    else if (conversation.isFollowing) scroller.scrollTop = scroller.scrollHeight;
    else if (own.anchor?.row.isConnected) {
      const by = own.anchor.row.getBoundingClientRect().bottom - own.anchor.bottom;
      if (Math.abs(by) >= 1) scroller.scrollTop += by;
    }
    moved();
  };

  // This runs while the new rows are made, and the page still shows the old ones.
  own.anchor = conversation.isFollowing || !box.current || !list.current ? undefined : findAnchor(box.current, list.current);
  useLayoutEffect(restorePosition);

  // My mark may come later than the messages: one begins again, unless one has begun already.
  useSignalEffect(() => {
    if (conversation.unreadFrom.value && !own.touched) own.placed = false;
  });
  useSignalEffect(() => {
    if (session.state.value !== "online" || !conversation.hasLoadError.peek()) return;
    conversation.hasLoadError.value = false;
    queueMicrotask(moved);
  });
  useEffect(() => {
    const {current: scroller} = box;
    if (!scroller) return;
    let edge = scroller.getBoundingClientRect().top;
    const resized = new ResizeObserver(() => {
      // Something came or went above the list: what one reads stays where it is.
      const {top} = scroller.getBoundingClientRect();
      if (conversation.isFollowing) scroller.scrollTop = scroller.scrollHeight;
      else scroller.scrollTop += top - edge;
      edge = top;
      moved();
    });
    resized.observe(scroller);
    addEventListener("focus", moved);
    document.addEventListener("visibilitychange", moved);
    return () => {
      resized.disconnect();
      removeEventListener("focus", moved);
      document.removeEventListener("visibilitychange", moved);
    };
  }, []);

  return {
    box,
    list,
    isScrolledUp: away,
    onMoved: moved,
    onScroll() {
      const {current: scroller} = box;
      if (!scroller) return;
      // Not every hand is a wheel or a finger: the browser's own search and screen readers scroll, too.
      if (scroller.scrollTop < own.top) own.touched = true;
      // Going up, however little, is leaving; on the way down the last lines are as good as the bottom.
      const near = scroller.scrollTop < own.top ? 2 : BOTTOM_PX;
      conversation.isFollowing = conversation.isAtEnd.peek() && pixelsBelow(scroller) < near;
      moved();
    },
    onWheel({deltaY}) {
      own.touched = true;
      // While messages pour in, the list would be back at the bottom before the wheel has got anywhere.
      if (deltaY < 0 && box.current && box.current.scrollTop > 0) conversation.isFollowing = false;
    },
    onTouch() {
      own.touched = true;
    },
  };
}

/** How much of the list is below what is in sight, in pixels. */
function pixelsBelow({scrollHeight, clientHeight, scrollTop}: HTMLElement): number {
  return scrollHeight - clientHeight - scrollTop;
}

/** Show the message of this seq, or the next one there is, and let it be seen which one it is. */
function highlight(rows: HTMLElement, seq: number): void {
  const messages = [...rows.querySelectorAll<HTMLElement>("article[data-seq]")];
  const place = insertionIndex(messages.map(({dataset}) => ({seq: Number(dataset.seq)})), seq);
  const row = messages[Math.min(place, messages.length - 1)];
  if (!row) return;
  row.scrollIntoView({block: "center"});
  row.focus({preventScroll: true});
  row.classList.add("highlighted");
  setTimeout(() => row.classList.remove("highlighted"), HIGHLIGHT_MS);
}

/** The first message in sight and where it ends: its head may go when older ones of its author come. Rows lie one below the other. */
function findAnchor(scroller: HTMLElement, {children}: HTMLElement): {row: Element; bottom: number} | undefined {
  const edge = scroller.getBoundingClientRect().top;
  let low = 0;
  let high = children.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (children[middle]!.getBoundingClientRect().bottom <= edge) low = middle + 1;
    else high = middle;
  }
  // Days and dividers move when something is put before them; messages stay what they are.
  while (low < children.length && children[low]!.tagName !== "ARTICLE") low += 1;
  const row = children[low];
  return row && {row, bottom: row.getBoundingClientRect().bottom};
}
