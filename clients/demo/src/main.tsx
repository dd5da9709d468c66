/** Begins the page. */
import "./style/base.css";
import "./parts/parts.css";
import {render} from "preact";
import {App} from "./app.tsx";
import "./model/newcomer.ts";
import "./model/returning.ts";
import {signInAgain} from "./session.ts";
import "./shell/title.ts";
import "./theme.ts";

// The only two scripts the page ever loads beside itself; everything else is refused (require-trusted-types-for).
const SCRIPTS: ReadonlySet<string> = new Set(["/worker.js", "/sw.js"].map((path) => new URL(path, location.href).href));

interface TrustedTypes {
  createPolicy(name: string, rules: {createScriptURL(url: string): string}): unknown;
}

(globalThis as {trustedTypes?: TrustedTypes}).trustedTypes?.createPolicy("default", {
  createScriptURL(url) {
    if (SCRIPTS.has(new URL(url, location.href).href)) return url;
    throw new TypeError(`${url} is no script of this page`);
  },
});

signInAgain();
render(<App />, document.getElementById("page")!);
if ("serviceWorker" in navigator && isSecureContext) void navigator.serviceWorker.register("/sw.js").catch(() => undefined);
