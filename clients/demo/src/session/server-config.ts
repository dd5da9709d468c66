/** The configuration that the service writes into the page: see `StaticPage.render` of the service. */
export interface ServerConfig {
  /** Development mode: any name can sign in. */
  readonly isDev: boolean;
  /** The path of RSocket over WebSocket. */
  readonly path: string;
  readonly version: string;
  /** The addresses it listens on, as seen from its own machine. */
  readonly ws: string;
  readonly tcp: string;
}

const content = document.querySelector<HTMLMetaElement>('meta[name="tidings"]')?.content ?? "{}";

export const serverConfig: ServerConfig = {isDev: false, path: "/rsocket", version: "", ws: "", tcp: "", ...(JSON.parse(content) as Partial<ServerConfig>)};

/** The URL of the service: the origin of this page, which may be a proxy that the service does not know. */
export function serviceUrl(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${serverConfig.path}`;
}
