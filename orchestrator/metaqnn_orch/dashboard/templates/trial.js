// The page of one trial.
import { api, ask, bytes, count, draw, el, facts, fixed, moment, table, tell, words } from "/static/parts.js";

const value = (number) => (Number.isInteger(number) ? count(number) : fixed(4)(number));

export const showTrial = async (main, run, trial) => {
  const [drawing, files] = [el("div", { className: "wide drawing" }), el("div", {}, el("p", { className: "small" }, "reading the store …"))];
  const failed = (error) => {
    if (!error.fault) throw error;
    return error.fault.hint ? `${error.fault.message} (${error.fault.hint})` : error.fault.message;
  };
  let found;
  try {
    found = (await ask(api(run, "trials", trial))).value;
  } catch (error) {
    tell("trial", failed(error));
    main.replaceChildren(el("h1", {}, trial));
    return;
  }
  const { row } = found;
  const curve = el("div", { className: "wide" });
  if (row.epochs) draw(curve, api(run, "figures", `curves:${trial}`));
  else if (found.no_curve) curve.append(el("p", { className: "small" }, `No learning curve: ${found.no_curve}.`));
  const link = (id) => el("a", { href: `/runs/${encodeURIComponent(run)}/trials/${id}` }, el("code", {}, id));
  const rows = [
    ["net", el("code", {}, row.net)],
    ["state", words(row.state) + (row.estimated ? ": the reward is an estimate from similar nets" : "")],
    [found.reward, fixed(4)(row.reward) + (found.rank ? `, number ${count(found.rank)} of ${count(found.of)}` : "")],
    ...(row.trainings ? [["mean of its trainings", `${fixed(4)(row.mean_reward)} of ${row.trainings}${row.confirmed ? ", which decides its rank" : ""}`]] : []),
    ...Object.entries(row.measures).map(([name, number]) => [words(name), value(number)]),
    ["parameters", count(row.params)], ["multiply-accumulates", count(row.macs)], ["seconds", fixed(1)(row.seconds)],
    ...(row.epsilon === null ? [] : [["epsilon", fixed(2)(row.epsilon)]]),
    ["attempts", count(row.attempts)], ["sampled", row.samplings === 1 ? "once" : `${count(row.samplings)} times`],
    ...(row.device ? [["device", row.device]] : []),
    ...(row.predicted === null ? [] : [["predicted", `${fixed(4)(row.predicted)} ± ${fixed(4)(row.spread)}, after ${fixed(4)(row.measured)} was measured`]]),
    ...(row.recipe ? [["recipe", JSON.stringify(row.recipe)]] : []),
    ...(row.initial ? [["begins with the weights of", link(row.initial)]] : []),
    ...(row.confirms ? [["repeats", link(row.confirms)]] : []),
    ...(found.confirmations.length ? [["repeated by", el("span", {}, ...found.confirmations.flatMap((id) => [link(id), " "]))]] : []),
    ...found.told.map((at) => ["result", moment(at)]),
  ];
  main.replaceChildren(
    el("h1", {}, `Trial ${trial}`),
    drawing,
    facts(rows),
    curve,
    ...(found.parts.length ? [el("h2", {}, "Layer by layer"), table([["#", true], [found.part], ["output"], ["parameters", true], ["multiply-accumulates", true]],
      found.parts.map((part, number) => [number + 1, el("code", {}, part.name), part.output, count(part.params), count(part.macs)]))] : []),
    el("h2", {}, "Attempts"),
    found.attempts.length ? table([["attempt", true], ["end"], ["when"], ["why"]], found.attempts.map((one) => [one.attempt, one.end, moment(one.at), one.detail]))
      : el("p", { className: "small" }, "No attempt was lost."),
    el("h2", {}, "Files"), files);
  draw(drawing, api(run, "trials", trial, "drawing"));
  try {
    const { value: list } = await ask(api(run, "trials", trial, "files"));
    files.replaceChildren(list.length ? table([["file"], ["size", true]], list.map(({ name, size }) =>
      [el("a", { href: `/runs/${encodeURIComponent(run)}/trials/${trial}/files/${encodeURIComponent(name)}` }, name), bytes(size)]))
      : el("p", { className: "small" }, "The store has no file of it."),
      ...list.map(({ name }) => /^picture-(.*)\.png$/.exec(name)).filter(Boolean).map(([, name]) => el("figure", { className: "picture" },
        el("img", { alt: name, src: `/runs/${encodeURIComponent(run)}/trials/${trial}/pictures/${encodeURIComponent(name)}` }), el("figcaption", {}, name))));
  } catch (error) {
    files.replaceChildren(el("p", { className: "small" }, failed(error)));
  }
};
