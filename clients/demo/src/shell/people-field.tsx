/** Names, one after another: a comma, a space or Enter ends each, Backspace takes the last one back. */
import "./people-field.css";
import {useId, useRef, useState} from "preact/hooks";
import {Avatar} from "../parts/avatar.tsx";
import {Icon} from "../parts/icon.tsx";
import {t} from "../words/words.ts";

interface Props {
  label: string;
  hint?: string;
  placeholder?: string;
  names: readonly string[];
  onChange: (names: string[]) => void;
  autofocus?: boolean;
}

const BETWEEN = /[\s,;，、；]+/;

export function PeopleField({label, hint, placeholder = "", names, onChange, autofocus = false}: Props) {
  const id = useId();
  const [rest, setRest] = useState("");
  const input = useRef<HTMLInputElement>(null);

  const take = (text: string) => onChange([...new Set([...names, ...text.split(BETWEEN).filter(Boolean)])]);
  const onInput = (text: string) => {
    // What is still being written is the last part; while it is composed nothing is taken.
    const parts = text.split(BETWEEN);
    const last = parts.pop() ?? "";
    if (parts.some(Boolean)) take(parts.join(" "));
    setRest(last);
  };
  const finish = () => {
    if (rest) take(rest);
    setRest("");
  };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="people-field input" onClick={(event) => event.target === event.currentTarget && input.current?.focus()}>
        {names.map((name) => (
          <span class="chip" key={name}>
            <Avatar user={name} size="small" />
            <bdi class="cut">{name}</bdi>
            <button type="button" aria-label={t("new.remove", {name})} onClick={() => onChange(names.filter((other) => other !== name))}>
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
          aria-describedby={hint && `${id}-hint`}
          onInput={(event) => (event.isComposing ? setRest(event.currentTarget.value) : onInput(event.currentTarget.value))}
          onCompositionEnd={(event) => onInput(event.currentTarget.value)}
          onBlur={finish}
          onKeyDown={(event) => {
            if (event.isComposing) return;
            if (event.key === "Enter" && rest) {
              event.preventDefault();
              finish();
            } else if (event.key === "Backspace" && !rest && names.length) onChange(names.slice(0, -1));
          }}
        />
      </div>
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}
