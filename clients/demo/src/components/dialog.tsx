/** A dialog over the page. The browser keeps the focus in it, closes it with Esc and gives the focus back afterwards. */
import type {ComponentChildren} from "preact";
import {useId, useLayoutEffect, useRef} from "preact/hooks";
import {t} from "../i18n/i18n.ts";
import {IconButton} from "./button.tsx";

/** Longer than the two clicks of a double-click are apart: 500 ms on most systems. */
export const DOUBLE_CLICK_MS = 600;

interface Props {
  title: string;
  onClose: () => void;
  wide?: boolean;
  /** Always as tall as may be: what is in it changes while it is open. */
  tall?: boolean;
  /** Only to be read: with nothing to press in it, it is itself what one reaches and scrolls with the keyboard. */
  isReadOnly?: boolean;
  /** What gets the focus afterwards, if not what had it before. */
  returnFocusTo?: () => HTMLElement | null;
  children: ComponentChildren;
}

export function Dialog({title, onClose, wide = false, tall = false, isReadOnly: still = false, returnFocusTo: back, children}: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const openedAt = useRef(performance.now()).current;
  useLayoutEffect(() => {
    const dialog = element.current!;
    const before = document.activeElement;
    dialog.showModal();
    dialog.querySelector<HTMLElement>("[autofocus]")?.focus();
    return () => {
      dialog.close();
      const to = back?.() ?? before;
      if (to instanceof HTMLElement && to.isConnected) to.focus({preventScroll: true});
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={`dialog ${wide ? "wide" : ""} ${tall ? "tall" : ""}`}
      aria-labelledby={heading}
      onCancel={(event) => {
        // The page decides what is open; the browser must not close it on its own.
        event.preventDefault();
        onClose();
      }}
      onKeyDown={(event) => {
        // In a search field the browser would empty the field first, and close the dialog at the second press only.
        if (event.key !== "Escape" || event.isComposing || event.defaultPrevented) return;
        event.preventDefault();
        event.stopPropagation();
        onClose();
      }}
      onPointerDown={(event) => {
        // The second click of a double-click on what opened the dialog is not meant to close it.
        const late = performance.now() - openedAt > DOUBLE_CLICK_MS;
        if (late && event.target === event.currentTarget && outside(event, event.currentTarget)) onClose();
      }}
    >
      <header>
        <h2 id={heading}>{title}</h2>
        <IconButton icon="close" label={t("close")} onClick={onClose} />
      </header>
      <div class="content" {...(still && {tabIndex: 0, role: "group", "aria-labelledby": heading})}>
        {children}
      </div>
    </dialog>
  );
}

function outside({clientX, clientY}: PointerEvent, dialog: HTMLElement): boolean {
  const {left, right, top, bottom} = dialog.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}
