/**
 * A popup beside an element: a menu, the emoji picker. It is in the browser's top layer, so nothing clips it. Esc or a click
 * outside closes it, and the focus returns to where it was.
 */
import type {ComponentChildren} from "preact";
import {useEffect, useLayoutEffect, useRef} from "preact/hooks";

const GAP_PX = 6;
const EDGE_PX = 8;

/** The rectangle of the window beside which a popup opens. */
export interface Anchor {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** The rectangle of this element. */
export function anchorOf(element: Element): Anchor {
  return element.getBoundingClientRect();
}

interface Props {
  at: Anchor;
  label: string;
  close: () => void;
  /** Which edge of the popup is aligned with the anchor, in reading direction. */
  align?: "start" | "end";
  children: ComponentChildren;
}

export function Popup({at, label, close, align = "end", children}: Props) {
  const box = useRef<HTMLDivElement>(null);
  const previousFocus = useRef<Element | null>(null);
  previousFocus.current ??= document.activeElement;
  const reposition = (): void => {
    const {current} = box;
    if (!current) return;
    const {width, height} = current.getBoundingClientRect();
    const below = at.bottom + GAP_PX + height <= innerHeight - EDGE_PX;
    const top = below ? at.bottom + GAP_PX : at.top - GAP_PX - height;
    current.style.top = `${clamp(top, innerHeight - height)}px`;
    current.style.left = `${clamp(align === "start" ? at.left : at.right - width, innerWidth - width)}px`;
  };
  useLayoutEffect(() => {
    box.current?.showPopover?.();
    reposition();
    // The on-screen keyboard of a phone changes the size.
    addEventListener("resize", reposition);
    return () => removeEventListener("resize", reposition);
  }, []);
  useEffect(() => {
    // The effect is cleaned up shortly after the element is removed: ignore events in between.
    const outside = (event: Event): void => {
      if (box.current && !box.current.contains(event.target as Node)) close();
    };
    const key = (event: KeyboardEvent): void => {
      if (event.key !== "Escape" || !box.current) return;
      event.preventDefault();
      event.stopPropagation();
      close();
    };
    addEventListener("pointerdown", outside, true);
    addEventListener("keydown", key, true);
    return () => {
      removeEventListener("pointerdown", outside, true);
      removeEventListener("keydown", key, true);
      const lost = !document.activeElement || document.activeElement === document.body;
      if (lost && previousFocus.current instanceof HTMLElement && previousFocus.current.isConnected) previousFocus.current.focus({preventScroll: true});
    };
  }, [close]);
  return (
    <div ref={box} class="popup" popover="manual" role="dialog" aria-label={label}>
      {children}
    </div>
  );
}

function clamp(value: number, max: number): number {
  return Math.max(EDGE_PX, Math.min(value, max - EDGE_PX));
}

/** Arrow keys move the focus among the buttons of `list`, in rows of `columns`; Home and End go to its ends. */
export function moveFocus(event: KeyboardEvent, list: HTMLElement, columns = 1): void {
  const items = [...list.querySelectorAll<HTMLElement>("button:not(:disabled)")];
  const index = items.indexOf(document.activeElement as HTMLElement);
  const last = items.length - 1;
  const horizontalStep = columns > 1 ? 1 : 0;
  const steps: Readonly<Record<string, number>> = {
    ArrowDown: columns,
    ArrowUp: -columns,
    ArrowRight: horizontalStep,
    ArrowLeft: -horizontalStep,
    Home: -items.length,
    End: items.length,
  };
  const step = steps[event.key];
  if (!step) return;
  const to = Math.max(0, Math.min(last, index + step));
  event.preventDefault();
  event.stopPropagation();
  items[to]?.focus();
}
