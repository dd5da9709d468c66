/** The whole page: signing in, or the chat. */
import {session} from "./session.ts";
import {Shell} from "./shell/shell.tsx";
import {SignIn} from "./shell/sign-in.tsx";

export function App() {
  return session.tidings.value ? <Shell /> : <SignIn />;
}
