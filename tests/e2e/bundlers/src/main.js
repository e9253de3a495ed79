import "./main.css";
import logo from "./logo.svg";
import { say } from "./common.js";

document.querySelector("img").src = logo;
say("main");
import("./lazy.js").then((lazy) => lazy.show());
