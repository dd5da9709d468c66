/** Names, one after another: a comma, a semicolon or Enter ends each, Backspace takes the last one back. */
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
  /** What is in the field. A form that is sent calls `peopleOf`: a name need not be ended by then. */
  people: Signal<NamesInput>;
  autofocus?: boolean;
}

/** The names in the field, the one that is being written included; undefined: one is wrong, and the field says which. */
export function completedNames(people: Signal<NamesInput>): string[] | undefined {
  people.value = completed(people.peek());
  const {names} = people.peek();
  return names.some(hasSpace) ? undefined : [...names];
}

export function NamesField({label, hint, placeholder = "", people, autofocus = false}: Props) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const {names, pending: rest} = people.value;
  const wrong = names.filter(hasSpace);

  const finish = () => (people.value = completed(people.peek()));
  const onInput = (text: string) => (people.value = withText(people.peek(), text));
  const keep = (kept: readonly string[]) => (people.value = {...people.peek(), names: kept});
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="people-field input" onClick={(event) => event.target === event.currentTarget && input.current?.focus()}>
        {names.map((name) => (
          <span class={hasSpace(name) ? "chip invalid" : "chip"} key={name}>
            <Avatar user={name} size="small" />
            <bdi class="truncated">{name}</bdi>
            <button type="button" aria-label={t("new.remove", {name})} onClick={() => keep(names.filter((other) => other !== name))}>
              <Icon name="close" size={14} />
            </button>
          </span>
        ))}
        <input
          id={id}
          ref={input}
          value={rest}
          dir="auto"
          autofocus={autofocus}
          placeholder={names.length ? "" : placeholder}
          autocapitalize="none"
          autocomplete="off"
          spellcheck={false}
          aria-invalid={wrong.length > 0}
          aria-describedby={`${id}-hint ${id}-wrong`}
          onInput={({currentTarget: {value}, isComposing}) => (isComposing ? (people.value = {...people.peek(), pending: value}) : onInput(value))}
          onCompositionEnd={(event) => onInput(event.currentTarget.value)}
          onBlur={finish}
          onKeyDown={(event) => {
            if (event.isComposing) return;
            if (event.key === "Enter" && rest.trim()) {
              event.preventDefault();
              finish();
            } else if (event.key === "Backspace" && !rest && names.length) keep(names.slice(0, -1));
          }}
        />
      </div>
      <p class="error" id={`${id}-wrong`} role="alert">
        {wrong.map((name) => t("signin.space", {name: suggestedName(name)})).join("\n")}
      </p>
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}
