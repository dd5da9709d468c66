import type {ComponentChildren, JSX} from "preact";
import {Icon, type IconName} from "./icon.tsx";

interface Props extends Omit<JSX.IntrinsicElements["button"], "icon"> {
  kind?: "plain" | "primary" | "danger" | "bare";
  icon?: IconName;
  children?: ComponentChildren;
}

/** A button with a text, and optionally an icon before it. */
export function Button({kind = "plain", icon, children, type = "button", ...rest}: Props) {
  return (
    <button {...rest} type={type} class={`button ${kind}`}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

/** A button with only an icon; `label` is its accessible name. */
export function IconButton({icon, label, kind = "bare", ...rest}: Omit<Props, "children"> & {icon: IconName; label: string}) {
  return (
    <button {...rest} type="button" class={`button icon ${kind}`} aria-label={label} title={label}>
      <Icon name={icon} />
    </button>
  );
}
