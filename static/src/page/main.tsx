/** The page: puts its parts together and starts what runs behind them. */
import { render } from "preact";
import { Dialogs } from "./parts/dialogs.tsx";
import { DropCard } from "./parts/drop-card.tsx";
import { Header } from "./parts/header.tsx";
import { JobList } from "./parts/job-list.tsx";
import { Notices } from "./parts/notices.tsx";
import { UploadList } from "./parts/upload-list.tsx";
import { deleteBeforeLeaving } from "./state/actions.ts";
import { watchAttention } from "./state/attention.ts";
import { follow } from "./state/live.ts";
import { hurry, restore } from "./state/uploads.ts";
import "./styles/page.css";

function App() {
  return (
    <>
      <a class="skip" href="#conversions">Skip to the conversions</a>
      <Header />
      <main>
        <DropCard />
        <UploadList />
        <JobList />
      </main>
      <Notices />
      <Dialogs />
    </>
  );
}

render(<App />, document.getElementById("app") as HTMLElement);
follow();
void restore();
watchAttention();
deleteBeforeLeaving();
window.addEventListener("online", hurry);
// What uploading needs is fetched ahead of the first file, but after everything that shows.
setTimeout(() => void import("./upload/engine.ts").catch(() => {}), 1_500);
