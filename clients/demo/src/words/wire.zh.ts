import type {en} from "./wire.en.ts";
import type {Words} from "./words.ts";

export const zh: Words<typeof en> = {};
