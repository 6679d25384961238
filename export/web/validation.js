// Added before the script of the page when it is validated: runs images and posts the outputs to the server, and compares
// how the page reads a picture with how `pocketzoo predict` does.
const {count, least, seconds} = Object.fromEntries(new URLSearchParams(location.search));
const post = (path, body) => fetch(path, {method: "POST", body});
const blocked = [];
document.addEventListener("securitypolicyviolation", event => blocked.push(`${event.effectiveDirective} ${event.blockedURI}`));
await new Promise(resolve => addEventListener("load", resolve)); // after the script of the page

try {
  const engine = document.querySelector("input[name=engine]:checked").id;
  if (location.hash !== `#${engine}`) throw new Error(`the page selected ${engine}`);
  const picture = await createImageBitmap(await (await fetch("picture.png")).blob());
  const expected = new Float32Array(await (await fetch("picture")).arrayBuffer());
  const levels = window.pocketzoo.pixelsOf(picture)
    .reduce((most, pixel, index) => Math.max(most, Math.abs(pixel - expected[index])), 0);
  const end = performance.now() + 1000 * seconds;
  const milliseconds = [];
  for (let index = 0; index < count; index++) {
    if (index >= least && performance.now() > end) break;
    const values = new Float32Array(await (await fetch(`values/${index}`)).arrayBuffer());
    const start = performance.now();
    const output = await window.pocketzoo.run(values);
    milliseconds.push(performance.now() - start);
    await post("output", output.values);
  }
  const adapter = location.hash.endsWith("webgpu") && await navigator.gpu.requestAdapter();
  const facts = adapter ? {gpu: `${adapter.info.vendor} ${adapter.info.architecture}`} : {};
  if (blocked.length) throw new Error(`its content security policy blocked ${blocked.join(", ")}`);
  await post("end", JSON.stringify({milliseconds, facts, levels}));
} catch (error) {
  await post("end", JSON.stringify({error: error.message ?? String(error)}));
}
