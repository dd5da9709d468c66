/** Styles are imported where they are used; esbuild gathers them into app.css. */
declare module "*.css";
