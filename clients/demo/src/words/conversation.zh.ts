import type {en} from "./conversation.en.ts";
import type {Words} from "./words.ts";

export const zh: Words<typeof en> = {};
