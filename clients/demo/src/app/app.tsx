/** The whole page: sign-in or chat, and the open dialog. */
import {About} from "./about.tsx";
import {Discover} from "../rooms/open-rooms.tsx";
import {KeyboardHelp} from "./keyboard-help.tsx";
import {LeaveRoom} from "../rooms/leave-room.tsx";
import {NewRoom} from "../rooms/new-room.tsx";
import {RenewToken} from "../session/renew-token.tsx";
import {Search} from "../search/search.tsx";
import {Settings} from "../settings/settings.tsx";
import {Layout} from "./layout.tsx";
import {activeDialog} from "../navigation/overlays.ts";
import {SignIn} from "../session/sign-in.tsx";
import {session} from "../session/session.ts";

export function App() {
  return (
    <>
      {session.isSignedIn.value ? <Layout /> : <SignIn />}
      <Dialogs />
    </>
  );
}

function Dialogs() {
  const dialog = activeDialog.value;
  const close = () => (activeDialog.value = undefined);
  if (!dialog) return null;
  if (dialog.what === "about") return <About onClose={close} />;
  if (!session.isSignedIn.value) return null;
  switch (dialog.what) {
    case "new":
      return <NewRoom onClose={close} />;
    case "search":
      return <Search onClose={close} {...(dialog.room !== undefined && {room: dialog.room})} />;
    case "settings":
      return <Settings onClose={close} />;
    case "help":
      return <KeyboardHelp onClose={close} />;
    case "discover":
      return <Discover onClose={close} />;
    case "renew":
      return <RenewToken onClose={close} />;
    case "leave":
      return <LeaveRoom onClose={close} room={dialog.room} />;
  }
}
