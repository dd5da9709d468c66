/** A dialog over the page. The browser keeps the focus in it, closes it with Esc and gives the focus back afterwards. */
import type {ComponentChildren} from "preact";
import {useId, useLayoutEffect, useRef} from "preact/hooks";
import {t} from "../words/words.ts";
import {IconButton} from "./button.tsx";

interface Props {
  title: string;
  onClose: () => void;
  wide?: boolean;
  /** Always as tall as may be: what is in it changes while it is open. */
  tall?: boolean;
  /** Only to be read: with nothing to press in it, it is itself what one reaches and scrolls with the keyboard. */
  still?: boolean;
  children: ComponentChildren;
}

export function Dialog({title, onClose, wide = false, tall = false, still = false, children}: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useLayoutEffect(() => {
    const dialog = element.current!;
    const before = document.activeElement;
    dialog.showModal();
    dialog.querySelector<HTMLElement>("[autofocus]")?.focus();
    return () => {
      dialog.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
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
      onPointerDown={(event) => event.target === event.currentTarget && outside(event, event.currentTarget) && onClose()}
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
