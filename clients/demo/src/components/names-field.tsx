/** A field for several names: a comma, a semicolon or Enter ends a name, Backspace removes the last one. */
import "./names-field.css";
import type {Signal} from "@preact/signals";
import {useId, useRef} from "preact/hooks";
import {Avatar} from "./avatar.tsx";
import {Icon} from "./icon.tsx";
import {t} from "../i18n/i18n.ts";
import {completed, hasSpace, type NamesInput, suggestedName, withText} from "./names-input.ts";

interface Props {
  label: string;
  hint?: string;
  placeholder?: string;
  /** The content of the field. A form calls `completedNames` when it is submitted, because the last name need not be ended then. */
  people: Signal<NamesInput>;
  autofocus?: boolean;
}

/** All names in the field, including the one being typed; undefined: a name is invalid, and the field shows which. */
export function completedNames(people: Signal<NamesInput>): string[] | undefined {
  people.value = completed(people.peek());
  const {names} = people.peek();
  return names.some(hasSpace) ? undefined : [...names];
}

export function NamesField({label, hint, placeholder = "", people, autofocus = false}: Props) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const {names, pending} = people.value;
  const invalid = names.filter(hasSpace);

  const finish = () => (people.value = completed(people.peek()));
  const onInput = (text: string) => (people.value = withText(people.peek(), text));
  const setNames = (remaining: readonly string[]) => (people.value = {...people.peek(), names: remaining});
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="people-field input" onClick={(event) => event.target === event.currentTarget && input.current?.focus()}>
        {names.map((name) => (
          <span class={hasSpace(name) ? "chip invalid" : "chip"} key={name}>
            <Avatar user={name} size="small" />
            <bdi class="truncated">{name}</bdi>
            <button type="button" aria-label={t("new.remove", {name})} onClick={() => setNames(names.filter((other) => other !== name))}>
              <Icon name="close" size={14} />
            </button>
          </span>
        ))}
        <input
          id={id}
          ref={input}
          value={pending}
          dir="auto"
          autofocus={autofocus}
          placeholder={names.length ? "" : placeholder}
          autocapitalize="none"
          autocomplete="off"
          spellcheck={false}
          aria-invalid={invalid.length > 0}
          aria-describedby={`${id}-hint ${id}-error`}
          onInput={({currentTarget: {value}, isComposing}) => (isComposing ? (people.value = {...people.peek(), pending: value}) : onInput(value))}
          onCompositionEnd={(event) => onInput(event.currentTarget.value)}
          onBlur={finish}
          onKeyDown={(event) => {
            if (event.isComposing) return;
            if (event.key === "Enter" && pending.trim()) {
              event.preventDefault();
              finish();
            } else if (event.key === "Backspace" && !pending && names.length) setNames(names.slice(0, -1));
          }}
        />
      </div>
      <p class="error" id={`${id}-error`} role="alert">
        {invalid.map((name) => t("signin.space", {name: suggestedName(name)})).join("\n")}
      </p>
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}
