/** What this service is and where, for people who want to use it from elsewhere. */
import "./help.css";
import type {ComponentChild} from "preact";
import {Dialog} from "../parts/dialog.tsx";
import {told} from "../told.ts";
import {t} from "../words/words.ts";

const SHELL = `tidings tail general --url ${told.ws}
tidings send general "hello" --url ${told.ws}`;

const PYTHON = `import asyncio
import tidings_client

async def main():
    async with tidings_client.connect("${told.ws}", user="ada") as client:
        room = client.rooms["general"]
        await room.send("hello")
        async for event in room.watch(after=0):
            print(event.actor, event.posted.text)

asyncio.run(main())`;

const BROWSER = `import {connect} from "@tidings/client";

const tidings = connect({url: "${told.ws}", user: "ada"});
const room = tidings.room("general");
room.on("event", (event) => console.log(event.actor, event.what));
await room.send("hello");`;

export function About({onClose}: {onClose: () => void}) {
  const facts: [string, ComponentChild][] = [
    [t("about.version"), told.version],
    [t("about.mode"), t(told.dev ? "about.dev" : "about.real")],
    [t("about.ws"), <code>{told.ws}</code>],
    [t("about.tcp"), <code>{told.tcp}</code>],
    [t("about.health"), <a href="/health">/health</a>],
    [t("about.metrics"), <a href="/metrics">/metrics</a>],
  ];
  return (
    <Dialog title={t("about.title")} onClose={onClose} wide>
      <p>{t("about.lead")}</p>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <h3>{t("about.shell")}</h3>
      <Code text={SHELL} />
      <h3>{t("about.python")}</h3>
      <Code text={PYTHON} />
      <h3>{t("about.browser")}</h3>
      <Code text={BROWSER} />
      <p class="soft">{t("about.token")}</p>
      <p class="soft">{t("about.any")}</p>
    </Dialog>
  );
}

function Code({text}: {text: string}) {
  return (
    <pre class="code" tabIndex={0}>
      <code>{text}</code>
    </pre>
  );
}
