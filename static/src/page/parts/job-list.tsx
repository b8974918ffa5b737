/** The live list of conversions: search, filters, rows, and older ones as they are scrolled to. */
import { useEffect, useRef } from "preact/hooks";
import { plain } from "../lib/format.ts";
import * as jobs from "../state/jobs.ts";
import type { Filter } from "../state/jobs.ts";
import { Close, Search } from "./icons.tsx";
import { JobRow } from "./job-row.tsx";

const FILTERS: [Filter, string][] = [["all", "All"], ["active", "Active"], ["done", "Ready"], ["failed", "Failed"]];

export function JobList() {
  const { all } = jobs.counts.value;
  const rows = jobs.visible.value;
  const started = jobs.nextCursor.value !== undefined || all > 0;
  return (
    <section class="jobs" aria-labelledby="conversions">
      <div class="jobs-head">
        <h2 id="conversions" tabIndex={-1}>Conversions</h2>
        {(all > 0 || jobs.search.value) && <Filters />}
        {(all > 0 || jobs.search.value) && <SearchBox />}
      </div>
      {jobs.loadError.value && !started && <p class="card empty problem">{jobs.loadError.value} Trying again…</p>}
      {!started && !jobs.loadError.value && <Skeleton />}
      {started && rows.length === 0 && <Empty any={all > 0} />}
      {rows.length > 0 && (
        <ul class="card rows">
          {rows.map((job) => <JobRow key={job.peek().job_id} source={job} />)}
        </ul>
      )}
      <Older />
    </section>
  );
}

function Filters() {
  return (
    <fieldset class="filters">
      <legend class="visually-hidden">Show</legend>
      {FILTERS.map(([name, label]) => (
        <label key={name}>
          <input type="radio" name="filter" checked={jobs.filter.value === name} onChange={() => (jobs.filter.value = name)} />
          <span>{label} <span class="count">{plain(jobs.counts.value[name])}{jobs.nextCursor.value ? "+" : ""}</span></span>
        </label>
      ))}
    </fieldset>
  );
}

function SearchBox() {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      const typing = (event.target as Element).closest("input, select, textarea, dialog");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      input.current?.focus();
    };
    document.addEventListener("keydown", focus);
    return () => document.removeEventListener("keydown", focus);
  }, []);
  const set = (text: string) => {
    jobs.search.value = text;
    if (text) void jobs.loadForSearch();
  };
  return (
    <div class="search" role="search">
      <Search size={18} />
      <input ref={input} type="search" placeholder="Search" aria-label="Search conversions" aria-keyshortcuts="/"
        value={jobs.search.value} onInput={(event) => set(event.currentTarget.value)} />
      {jobs.search.value && (
        <button type="button" class="icon-button quiet" aria-label="Clear the search" onClick={() => {
          set("");
          input.current?.focus();
        }}><Close size={16} /></button>
      )}
    </div>
  );
}

function Empty({ any }: { any: boolean }) {
  if (any) {
    const what = jobs.search.value ? <>matches “<bdi>{jobs.search.value}</bdi>”</> : "is here right now";
    return <div class="card empty"><p class="empty-title">Nothing {what}.</p></div>;
  }
  return (
    <div class="card empty">
      <p class="empty-title">Nothing converted yet</p>
      <p>Add a video above. You’ll watch it upload and convert here, live, then play it or download it.</p>
    </div>
  );
}

function Skeleton() {
  return (
    <div class="card rows" role="status" aria-label="Loading">
      {[1, 2, 3].map((each) => <div key={each} class="row skeleton"><div class="tile" /><div class="row-body"><div class="line" /><div class="line short" /></div></div>)}
    </div>
  );
}

/** Loads older conversions when the end of the list comes near. */
function Older() {
  const end = useRef<HTMLDivElement>(null);
  const more = Boolean(jobs.nextCursor.value);
  const shown = jobs.visible.value.length;
  useEffect(() => {
    if (!more || !end.current) return undefined;
    const observer = new IntersectionObserver(
      (entries) => entries.some(({ isIntersecting }) => isIntersecting) && void jobs.load("older"),
      { rootMargin: "600px" },
    );
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [more, shown, jobs.loading.value]);
  if (!more) return null;
  return (
    <div ref={end} class="older">
      <button type="button" class="button soft small" disabled={jobs.loading.value} onClick={() => void jobs.load("older")}>
        {jobs.loading.value ? "Loading…" : "Show older"}
      </button>
    </div>
  );
}
