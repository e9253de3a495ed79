import "./lazy.css";
import { say } from "./common.js";

export function show() {
  say("lazy");
}
