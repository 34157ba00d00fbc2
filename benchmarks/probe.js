// Counts what a visitor would notice: frames, plots that were made again, plots whose data stands still, long tasks.
(() => {
  const probe = (window.__probe = { frames: 0, longMs: 0, remounts: 0, changes: new Map(), armedAt: 0 });
  const known = new WeakSet();
  const lastData = new WeakMap();
  const movedAt = new WeakMap();
  const digest = (plot) => (plot.data || []).map((trace) => ["x", "y", "z"].map((axis) => {
    const values = trace[axis];
    if (!values) return "";
    if (values.bdata) return String(values.bdata.length) + String(values.bdata).slice(-32);
    const last = values[values.length - 1];
    return `${values.length}:${last && last.length ? Array.from(last).join() : last}`;
  }).join("|")).join("/");
  const frame = () => {
    probe.frames += 1;
    for (const plot of document.querySelectorAll(".js-plotly-plot")) {
      if (!known.has(plot)) {
        known.add(plot);
        if (probe.armedAt) probe.remounts += 1;
      }
      const now = digest(plot);
      if (lastData.get(plot) !== now) {
        lastData.set(plot, now);
        movedAt.set(plot, performance.now());
        if (probe.armedAt) probe.changes.set(plot, (probe.changes.get(plot) || 0) + 1);
      }
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) probe.longMs += entry.duration;
  }).observe({ entryTypes: ["longtask"] });
  probe.arm = () => {
    Object.assign(probe, { frames: 0, longMs: 0, remounts: 0, changes: new Map(), armedAt: performance.now() });
  };
  probe.read = () => {
    const seconds = (performance.now() - probe.armedAt) / 1e3;
    const plots = [...document.querySelectorAll(".js-plotly-plot")];
    return {
      seconds,
      framesPerSecond: probe.frames / seconds,
      longMsPerSecond: probe.longMs / seconds,
      plots: plots.length,
      remounts: probe.remounts,
      updatesPerSecond: plots.map((plot) => (probe.changes.get(plot) || 0) / seconds),
      frozen: plots.filter((plot) => performance.now() - (movedAt.get(plot) || 0) > 2000).length,
    };
  };
})();
