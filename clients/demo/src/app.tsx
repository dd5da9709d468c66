/** The whole page: signing in, or the chat, and what is open over it. */
import {About} from "./shell/about.tsx";
import {Discover} from "./shell/discover.tsx";
import {Help} from "./shell/help.tsx";
import {Leave} from "./shell/leave.tsx";
import {NewRoom} from "./shell/new-room.tsx";
import {Renew} from "./shell/renew.tsx";
import {Search} from "./shell/search.tsx";
import {Settings} from "./shell/settings.tsx";
import {Shell} from "./shell/shell.tsx";
import {opened} from "./shell/shown.ts";
import {SignIn} from "./shell/sign-in.tsx";
import {session} from "./session.ts";

export function App() {
  return (
    <>
      {session.inside.value ? <Shell /> : <SignIn />}
      <Over />
    </>
  );
}

function Over() {
  const over = opened.value;
  const close = () => (opened.value = undefined);
  if (!over) return null;
  if (over.what === "about") return <About onClose={close} />;
  if (!session.inside.value) return null;
  switch (over.what) {
    case "new":
      return <NewRoom onClose={close} />;
    case "search":
      return <Search onClose={close} {...(over.room !== undefined && {room: over.room})} />;
    case "settings":
      return <Settings onClose={close} />;
    case "help":
      return <Help onClose={close} />;
    case "discover":
      return <Discover onClose={close} />;
    case "renew":
      return <Renew onClose={close} />;
    case "leave":
      return <Leave onClose={close} room={over.room} />;
  }
}
