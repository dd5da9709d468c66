/** Starts the page. */
import "./styles/base.css";
import "./components/components.css";
import {render} from "preact";
import {App} from "./app/app.tsx";
import "./rooms/first-visit.ts";
import "./rooms/restore-room.ts";
import {restoreSession} from "./session/session.ts";
import "./app/title.ts";
import "./settings/theme.ts";

// The only scripts that the page loads besides itself; the Content-Security-Policy (require-trusted-types-for) refuses others.
const SCRIPTS: ReadonlySet<string> = new Set(["/worker.js", "/sw.js"].map((path) => new URL(path, location.href).href));

interface TrustedTypes {
  createPolicy(name: string, rules: {createScriptURL(url: string): string}): unknown;
}

(globalThis as {trustedTypes?: TrustedTypes}).trustedTypes?.createPolicy("default", {
  createScriptURL(url) {
    if (SCRIPTS.has(new URL(url, location.href).href)) return url;
    throw new TypeError(`${url} is not a script of this page`);
  },
});

restoreSession();
render(<App />, document.getElementById("page")!);
if ("serviceWorker" in navigator && isSecureContext) void navigator.serviceWorker.register("/sw.js").catch(() => undefined);
