/** A modal dialog. The browser keeps the focus inside, Esc closes it, and the focus returns to where it was. */
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
  /** Always the full height, because its content changes while it is open. */
  tall?: boolean;
  /** It has no controls: the content itself takes the focus, so that the keyboard can scroll it. */
  isReadOnly?: boolean;
  /** The element that gets the focus afterwards; default: the one that had it before. */
  returnFocusTo?: () => HTMLElement | null;
  children: ComponentChildren;
}

export function Dialog({title, onClose, wide = false, tall = false, isReadOnly = false, returnFocusTo, children}: Props) {
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
      const to = returnFocusTo?.() ?? before;
      if (to instanceof HTMLElement && to.isConnected) to.focus({preventScroll: true});
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={`dialog ${wide ? "wide" : ""} ${tall ? "tall" : ""}`}
      aria-labelledby={heading}
      onCancel={(event) => {
        // `onClose` decides; the browser must not close the dialog by itself.
        event.preventDefault();
        onClose();
      }}
      onKeyDown={(event) => {
        // In a search field the browser would clear the field first and close the dialog on the second press only.
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
      <div class="content" {...(isReadOnly && {tabIndex: 0, role: "group", "aria-labelledby": heading})}>
        {children}
      </div>
    </dialog>
  );
}

function outside({clientX, clientY}: PointerEvent, dialog: HTMLElement): boolean {
  const {left, right, top, bottom} = dialog.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}
