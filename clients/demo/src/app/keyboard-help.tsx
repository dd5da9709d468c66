/** The list of keyboard shortcuts. */
import "./help.css";
import {Dialog} from "../components/dialog.tsx";
import {t} from "../i18n/i18n.ts";

const MAC = /mac/i.test(navigator.platform);
const ALT = MAC ? "⌥" : "Alt";
const COMMAND = MAC ? "⌘" : "Ctrl";

const KEYS = [
  {name: "keys.search", keys: [COMMAND, "K"]},
  {name: "keys.next", keys: [ALT, "↓"]},
  {name: "keys.previous", keys: [ALT, "↑"]},
  {name: "keys.unread", keys: [ALT, "Shift", "↓"]},
  {name: "keys.new", keys: [ALT, "N"]},
  {name: "keys.members", keys: [ALT, "M"]},
  {name: "keys.inspector", keys: [ALT, "W"]},
  {name: "keys.list", keys: ["↑", "↓", "Enter"]},
  {name: "keys.send", keys: ["Enter"]},
  {name: "keys.line", keys: ["Shift", "Enter"]},
  {name: "keys.mine", keys: ["↑"]},
  {name: "keys.messages", keys: ["↑", "↓", "Enter"]},
  {name: "keys.message", keys: ["R", "+", "E", "C", "P", "Del"]},
  {name: "keys.escape", keys: ["Esc"]},
  {name: "keys.help", keys: ["?"]},
] as const;

export function KeyboardHelp({onClose}: {onClose: () => void}) {
  return (
    <Dialog title={t("keys.title")} onClose={onClose} isReadOnly>
      <dl class="keys">
        {KEYS.map(({name, keys}) => (
          <div key={name}>
            <dt>{t(name)}</dt>
            <dd>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
