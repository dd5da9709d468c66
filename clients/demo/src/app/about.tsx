/** About this service: version, mode, addresses, and how to use it from other clients. */
import "./help.css";
import type {ComponentChild} from "preact";
import {Dialog} from "../components/dialog.tsx";
import {serverConfig} from "../session/server-config.ts";
import {t} from "../i18n/i18n.ts";

const SHELL = `tidings tail general --url ${serverConfig.ws}
tidings send general "hello" --url ${serverConfig.ws}`;

const PYTHON = `import asyncio
import tidings_client

async def main():
    async with tidings_client.connect("${serverConfig.ws}", user="ada") as client:
        room = client.rooms["general"]
        await room.send("hello")
        async for event in room.watch(after=0):
            if event.HasField("posted"):
                print(event.actor, event.posted.text)

asyncio.run(main())`;

const BROWSER = `import {connect} from "@tidings/client";

const tidings = connect({url: "${serverConfig.ws}", user: "ada"});
const room = tidings.room("general");
room.on("event", ({actor, what}) => {
  if (what.case === "posted") console.log(actor, what.value.text);
});
await room.send("hello");`;

export function About({onClose}: {onClose: () => void}) {
  const facts: [string, ComponentChild][] = [
    [t("about.version"), serverConfig.version],
    [t("about.mode"), t(serverConfig.isDev ? "about.dev" : "about.production")],
    [t("about.ws"), <code>{serverConfig.ws}</code>],
    [t("about.tcp"), <code>{serverConfig.tcp}</code>],
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
      <CodeBlock text={SHELL} />
      <h3>{t("about.python")}</h3>
      <CodeBlock text={PYTHON} />
      <h3>{t("about.browser")}</h3>
      <CodeBlock text={BROWSER} />
      <p class="secondary">{t("about.token")}</p>
      <p class="secondary">{t("about.any")}</p>
    </Dialog>
  );
}

function CodeBlock({text}: {text: string}) {
  return (
    <pre class="code" tabIndex={0}>
      <code>{text}</code>
    </pre>
  );
}
