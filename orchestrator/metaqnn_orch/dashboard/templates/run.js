// The page of one run.
import { api, ask, count, el, facts, figure, fixed, follow, moment, numbers, span, state, table, tell, words } from "/static/parts.js";
import { RowTable } from "/static/table.js";

const AGAIN = 4; // seconds after which what could not be had is asked for again
const STALE = 15; // seconds for which a figure of a running search may be behind

const trialLink = (run, trial) => el("a", { href: `/runs/${encodeURIComponent(run)}/trials/${trial}` }, el("code", {}, trial));

const bar = (name, stage, running) => el("div", { className: "bar" }, el("span", {}, name),
  el("progress", { max: Math.max(1, stage.nets), value: stage.done, "aria-label": name }),
  el("span", {}, `${count(stage.done)} of ${count(stage.nets)}`
    + (stage.done >= stage.nets ? ", done" : !running || stage.seconds_left === null ? "" : `, ${span(stage.seconds_left)} to go`)));

const amount = (used, ahead, most, unit = "") => `${fixed(2)(used)}${unit}`
  + (ahead === null || ahead === undefined ? "" : `, about ${fixed(2)(ahead)} in all`) + (most === null ? "" : `, budget ${count(most)}`);

const progress = (run, { status, standing, words: said, in_flight: flight, epochs, heard, table: rehearsed }) => {
  const { budget, used } = standing;
  const running = status.state === "running";
  const forecast = status.state === "complete" ? null : standing.forecast;
  const rows = [
    ...(rehearsed ? [] : [["GPU-hours", amount(used.gpu_hours, forecast && forecast.gpu_hours, budget.gpu_hours)]]),
    ...(used.money === null ? [] : [["money", amount(used.money, forecast && forecast.money, budget.money, ` ${budget.currency ?? ""}`)]]),
    ["hours", amount(used.wall_clock_hours, forecast && forecast.wall_clock_hours, budget.wall_clock_hours)],
    ...(status.best ? [["best net", el("span", {}, trialLink(run, status.best.trial), " ", el("code", {}, status.best.net))]] : []),
    ["ended", Object.entries(standing.endings).map(([name, number]) => `${count(number)} ${words(name)}`).join(", ") || "none yet"],
    ["lost attempts", Object.entries(standing.lost).filter(([, number]) => number).map(([name, number]) => `${count(number)} ${name}`).join(", ") || "none"],
    ...(status.failed ? [["abandoned", count(status.failed)]] : []),
    ...(standing.images_per_second ? [["speed", `${count(Math.round(standing.images_per_second))} examples/s`]] : []),
    ...(standing.limit ? [["stops", standing.limit]] : []),
    ...(status.ended_because ? [["ended because", status.ended_because]] : []),
    ...(status.holder ? [["searched by", status.holder]] : []),
    ["last heard of", moment(heard)],
  ];
  return [
    el("p", { className: "lead" }, state(status.state), " ", said ? said.lead : "No net is trained yet."),
    ...(status.trouble ? [el("p", { className: "note" }, `${status.holder ? "The search waits" : run}: ${status.trouble}`)] : []),
    ...(said ? said.notes : []).map((note) => el("p", { className: "note" }, note)),
    bar("all", standing.whole, running),
    ...(standing.epsilon === null ? [] : [bar(`epsilon ${standing.epsilon.toFixed(2)}`, standing.phase, running)]),
    ...(standing.confirming ? [bar("confirming", standing.confirming, running)] : []),
    ...(said ? [numbers(said.numbers)] : []),
    facts(rows),
    ...(flight.length ? [el("h3", {}, `${running ? "In training" : "Waiting for the next session"}: ${count(flight.length)}`), table([["trial"], ["attempt", true], ["epoch", true], ["best so far", true], ["net"]],
      flight.slice(0, 50).map((one) => {
        const course = epochs[one.trial];
        return [trialLink(run, one.trial), count(one.attempt), course ? `${course.length} of ${one.epochs}` : "-",
          course ? fixed(4)(Math.max(...course)) : "-", el("code", {}, one.net)];
      }))] : []),
  ];
};

const ends = ({ words: said }) => (said ? [
  table([["outcome"], ["number", true], ["share", true], ["meaning"]],
    said.outcomes.map((one) => [one.name, count(one.number), `${(one.share * 100).toFixed(1)}%`, one.meaning])),
  ...(said.losses.length ? [el("h3", {}, "Attempts that were lost lately"), table([["end"], ["number", true], ["since"], ["last"], ["why the last one"]],
    said.losses.map((one) => [one.kind, count(one.attempts), moment(one.since), moment(one.last), one.detail]))] : []),
  ...(said.reasons.length ? [el("h3", {}, "Why attempts came to nothing"), table([["times", true], ["reason"]],
    said.reasons.map(([reason, times]) => [count(times), reason]))] : []),
] : []);

// The learning curves of the best nets, or of those that somebody chose in the table.
const curves = (run) => {
  const chosen = new Set();
  let best = [];
  const drawn = figure("Learning curves", "", "");
  const said = drawn.querySelector("figcaption");
  const renew = () => {
    const wanted = chosen.size ? [...chosen] : best;
    drawn.hidden = !wanted.length;
    said.textContent = chosen.size ? `The ${chosen.size} that you chose among the trials below.` : "The best nets; choose others among the trials below.";
    if (wanted.length) drawn.renew(api(run, "figures", `curves:${wanted.join(",")}`));
  };
  const box = (trial) => {
    const made = el("input", { type: "checkbox", checked: chosen.has(trial), ariaLabel: `learning curve of ${trial}` });
    made.addEventListener("change", () => {
      if (made.checked) chosen.add(trial);
      else chosen.delete(trial);
      renew();
    });
    return made;
  };
  return { element: drawn, box, fill: (trials) => { best = trials; renew(); } };
};

const trialTable = (run, reward, box) => {
  const said = el("span", { className: "small" });
  const number = (key, title, width, show) => ({ key, title, width, numeric: true, show });
  const columns = [
    { key: "trial", title: "trial", width: 126, show: (trial) => trialLink(run, trial) },
    { key: "state", title: "state", width: 126, show: (name, row) => (row.estimated ? "estimated" : words(name)) + (row.confirms ? ", again" : "") },
    number("reward", reward, 116, fixed(4)),
    number("mean_reward", "mean", 78, fixed(4)),
    number("epsilon", "epsilon", 78, fixed(2)),
    number("params", "params", 104, count),
    number("macs", "MACs", 120, count),
    number("seconds", "seconds", 92, fixed(1)),
    number("attempts", "attempts", 84, count),
    number("epochs", "curve", 70, (epochs, row) => (epochs ? box(row.trial) : "-")),
    number("samplings", "sampled", 84, count),
    { key: "net", title: "net", show: (net) => el("code", {}, net) },
  ];
  const rows = new RowTable(columns, (shown, all) => { said.textContent = `${shown === all ? "" : `${count(shown)} of `}${count(all)} ${all === 1 ? "trial" : "trials"}`; });
  const search = el("input", { type: "search", placeholder: "C(32,3,1)   untrainable   reward>0.9   params<20000", ariaLabel: "Show the trials with these words" });
  search.addEventListener("input", () => rows.search(search.value));
  return { rows, element: el("div", {}, el("div", { className: "controls" }, search, said), rows.element) };
};

const beliefs = (run) => {
  const place = el("div", {});
  let after = [];
  const show = async () => {
    const beginning = after.length ? `[${after.join(", ")}]` : "";
    const go = (layers) => () => { after = layers; show(); };
    try {
      const { value: found } = await ask(`${api(run, "beliefs")}?after=${encodeURIComponent(beginning)}`);
      const step = (text, layers) => el("button", { type: "button", className: "plain", onclick: go(layers) }, text);
      const told = (key) => found.moves.some((move) => move[key] !== null);
      const columns = [["layer", found.noun, false, null], ["q_value", found.value_words, true, fixed(4)], ["updates", "updates", true, count],
        ["probability", "probability", true, fixed(4)], ["trained", "trained", true, count], ["best_reward", "best", true, fixed(4)], ["completion", "leads to", false, null]]
        .filter(([key]) => told(key));
      place.replaceChildren(
        el("div", { className: "crumbs" }, "after", step("the beginning", []), ...after.map((layer, number) => step(layer, after.slice(0, number + 1)))),
        el("p", { className: "small" }, `The searcher: ${found.choice}. ${found.trained === 1 ? "1 trained net begins" : `${count(found.trained)} trained nets begin`} like this.`),
        table(columns.map(([, title, numeric]) => [title, numeric]), found.moves.map((move) => columns.map(([key, , , form]) =>
          (key === "layer" ? step(move.layer, [...after, move.layer]) : form ? form(move[key]) : el("code", {}, move[key] ?? "-"))))));
    } catch (error) {
      if (!error.fault) throw error;
      place.replaceChildren(el("p", { className: "small" }, error.fault.message));
    }
  };
  return { element: place, show };
};

const front = (run) => {
  const choose = (label) => el("select", { ariaLabel: label });
  const [cost, value] = [choose("the measure of which less is better"), choose("the measure of which more is better")];
  const drawn = figure("Front of two measures", "Every net by two measures; the line joins those that no other net beats in both.", "");
  const members = el("div", {});
  const renew = () => { if (cost.value) drawn.renew(api(run, "figures", `front:${cost.value},${value.value}`)); };
  for (const select of [cost, value]) select.addEventListener("change", renew);
  const fill = ({ measures, axes, members: found }) => {
    if (cost.options.length !== measures.length) {
      const chosen = [cost.value || (axes[0] ?? {}).cost, value.value || (axes[0] ?? {}).value];
      [cost, value].forEach((select, number) => {
        select.replaceChildren(...measures.map((name) => el("option", { value: name }, words(name))));
        select.value = chosen[number] ?? "";
      });
    }
    if (found.length) {
      const keys = Object.keys(found[0]).filter((key) => key !== "trial" && key !== "net");
      members.replaceChildren(el("h3", {}, "The front that the search looks for"), table([["trial"], ...keys.map((key) => [words(key), true]), ["net"]],
        found.map((one) => [trialLink(run, one.trial), ...keys.map((key) => (Number.isInteger(one[key]) ? count(one[key]) : fixed(4)(one[key]))), el("code", {}, one.net)])));
    }
    renew();
  };
  return { element: el("div", {}, el("div", { className: "controls" }, "less of", cost, "and more of", value), drawn, members), fill };
};

const verdict = async (run, section) => {
  const { value: found } = await ask(api(run, "verdict"));
  section.hidden = !found;
  if (!found) return;
  section.replaceChildren(el("h2", { id: "verdict" }, "The verdict of the finals"),
    numbers([["test accuracy of the best", fixed(4)(found.test_accuracy)], [`ensemble of ${found.ensemble}, test`, fixed(4)(found.ensemble_test_accuracy)],
      ["ensemble, validation", fixed(4)(found.ensemble_val_accuracy)], ["test images", count(found.test_images)]]),
    table([["#", true], ["trial"], ["reward", true], ["in the search", true], ["parameters", true], ["net"]], found.finalists.map((one, number) =>
      [number + 1, el("code", {}, one.trial), fixed(4)(one.reward), fixed(4)(one.searched_reward), count(one.params), el("code", {}, one.net)])));
};

export const showRun = (main, run) => {
  const part = (id, title, ...children) => el("section", {}, el("h2", { id }, title), ...children);
  const place = () => el("div", {});
  const [now, course, outcomes, cost, settings, versions] = [place(), el("div", { className: "grid" }), place(), place(), place(), place()];
  const [believed, fronts, learned, finals] = [beliefs(run), front(run), curves(run), el("section", { hidden: true })];
  const beliefFigures = el("div", { className: "grid" });
  const links = [["now", "Progress"], ["course", "Learning"], ["trials", "Trials"], ["front", "Front"], ["beliefs", "Beliefs"], ["ends", "Ends"], ["cost", "Cost"], ["settings", "Settings"]];
  let trials = null;
  const trialSection = part("trials", "Trials");
  main.replaceChildren(el("h1", {}, run), el("nav", {}, ...links.map(([id, name]) => el("a", { href: `#${id}` }, name))),
    part("now", "Progress", now), finals, part("course", "How the searcher learned", course), learned.element, trialSection,
    part("front", "Front", fronts.element), part("beliefs", "What the searcher believes", believed.element, beliefFigures),
    part("ends", "What became of the trials", outcomes), part("cost", "Cost", cost), part("settings", "Settings", settings));
  let [position, drawnAt] = [null, -Infinity];
  const shown = new Map();
  const renew = async () => {
    try {
      const { value: found } = await ask(api(run, "figures"));
      for (const [group, section] of [["course", course], ["beliefs", beliefFigures]]) {
        for (const one of found.figures.filter((each) => each.group === group)) {
          const address = api(run, "figures", one.name);
          if (shown.has(address)) shown.get(address).renew();
          else section.append(shown.set(address, figure(one.title, one.caption, address)).get(address));
        }
      }
      fronts.fill(found);
      learned.fill(found.curves);
      trials.rows.fill((await ask(api(run, "trials"))).value);
      await believed.show();
      await verdict(run, finals);
    } catch (error) {
      if (!error.fault) throw error;
      tell("figures", error.fault.message);
      setTimeout(renew, AGAIN * 1000);
      return;
    }
    tell("figures", "");
  };
  follow(api(run), 3, (found) => {
    now.replaceChildren(...progress(run, found));
    outcomes.replaceChildren(...ends(found));
    if (found.words) {
      cost.replaceChildren(facts(found.words.cost));
      if (!settings.firstChild) settings.append(el("details", {}, el("summary", {}, "All settings"), facts(found.words.settings)), versions);
      versions.replaceChildren(el("h3", {}, "Versions and data"), facts(found.words.versions));
    }
    if (trials === null) {
      trials = trialTable(run, found.reward, learned.box);
      trialSection.append(trials.element);
    }
    const [stamp, running] = [found.status.journal_position, found.status.state === "running"];
    const fresh = performance.now() - drawnAt < STALE * 1000;
    if (stamp !== position && !(running && fresh)) {
      [position, drawnAt] = [stamp, performance.now()];
      renew();
    }
  });
};
