/** Asks for confirmation of an action that cannot be undone. */
import type {ComponentChildren} from "preact";
import {useEffect, useState} from "preact/hooks";
import {t} from "../i18n/i18n.ts";
import {Button} from "./button.tsx";
import {DOUBLE_CLICK_MS, Dialog} from "./dialog.tsx";

interface Props {
  title: string;
  /** The label of the button that confirms. */
  action: string;
  isBusy?: boolean;
  /** Why the action failed. */
  error?: string | undefined;
  onConfirm: () => void;
  onClose: () => void;
  returnFocusTo?: () => HTMLElement | null;
  children?: ComponentChildren;
}

/**
 * For the length of a double-click its buttons do nothing: the second click on the control that opened the dialog may land on
 * either of them. Cancel has the focus, so a key that is held down cancels.
 */
export function Confirm({title, action, isBusy = false, error, onConfirm, onClose, returnFocusTo, children}: Props) {
  const [armed, setArmed] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setArmed(true), DOUBLE_CLICK_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <Dialog title={title} onClose={onClose} {...(returnFocusTo && {returnFocusTo})}>
      {children}
      <p class="error" role="alert">
        {error}
      </p>
      <div class={armed ? "actions" : "actions waiting"}>
        <Button autofocus onClick={onClose}>
          {t("cancel")}
        </Button>
        <Button kind="danger" disabled={isBusy || !armed} onClick={onConfirm}>
          {action}
        </Button>
      </div>
    </Dialog>
  );
}
