/** Asks before something that cannot be undone. */
import type {ComponentChildren} from "preact";
import {useEffect, useState} from "preact/hooks";
import {t} from "../i18n/i18n.ts";
import {Button} from "./button.tsx";
import {DOUBLE_CLICK_MS, Dialog} from "./dialog.tsx";

interface Props {
  title: string;
  /** What the button that does it says. */
  action: string;
  isBusy?: boolean;
  /** Why it did not work. */
  error?: string | undefined;
  onConfirm: () => void;
  onClose: () => void;
  returnFocusTo?: () => HTMLElement | null;
  children?: ComponentChildren;
}

/**
 * For the length of a double-click nothing in it can be clicked: the second click on what opened the dialog may land on either
 * button. Cancel has the focus, so a key that is held down cancels.
 */
export function Confirm({title, action, isBusy: busy = false, error: wrong, onConfirm, onClose, returnFocusTo: back, children}: Props) {
  const [armed, arm] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => arm(true), DOUBLE_CLICK_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <Dialog title={title} onClose={onClose} {...(back && {returnFocusTo: back})}>
      {children}
      <p class="error" role="alert">
        {wrong}
      </p>
      <div class={armed ? "actions" : "actions waiting"}>
        <Button autofocus onClick={onClose}>
          {t("cancel")}
        </Button>
        <Button kind="danger" disabled={busy || !armed} onClick={onConfirm}>
          {action}
        </Button>
      </div>
    </Dialog>
  );
}
