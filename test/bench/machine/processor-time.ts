import { readFile, readdir } from "node:fs/promises";

/** Linux counts the time of ended children in hundredths of a second. */
const ticksPerSecond = 100;
const nsPerSecond = 1e9;

/** Processor time of a process: all threads, and the main thread alone. */
export type ThreadTimes = { readonly allSeconds: number; readonly mainSeconds: number };

/** Reads the processor time of every live thread of a process, to the nanosecond (`/proc/<pid>/task/<tid>/schedstat`). */
export async function threadTimes(pid: number): Promise<ThreadTimes> {
  const folder = `/proc/${pid}/task`;
  let [allSeconds, mainSeconds] = [0, 0];
  for (const tid of await readdir(folder)) {
    // A thread may end between the two reads.
    const text = await readFile(`${folder}/${tid}/schedstat`, "utf8").catch(() => "0");
    const seconds = Number(text.split(" ")[0]) / nsPerSecond;
    allSeconds += seconds;
    if (tid === String(pid)) mainSeconds = seconds;
  }
  return { allSeconds, mainSeconds };
}

/** Returns the processor time of all threads of a process. */
export async function cpuSeconds(pid: number): Promise<number> {
  return (await threadTimes(pid)).allSeconds;
}

/** Returns the processor time of a process and its descendants, those that have ended included. */
export async function treeCpuSeconds(pid: number): Promise<number> {
  const pids = [pid, ...(await descendants(pid))];
  const seconds = await Promise.all(pids.map(async (one) => (await cpuSeconds(one).catch(() => 0)) + (await endedChildrenSeconds(one))));
  return seconds.reduce((sum, ofProcess) => sum + ofProcess, 0);
}

/** Returns the memory of a process and its descendants in bytes. A page that n processes share counts as 1/n for each (PSS). */
export async function treeMemoryBytes(pid: number): Promise<number> {
  const pids = [pid, ...(await descendants(pid))];
  const bytes = await Promise.all(pids.map(proportionalBytes));
  return bytes.reduce((sum, ofProcess) => sum + ofProcess, 0);
}

/** Returns the resident memory of one process in bytes (RSS). */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** Returns the processes that a process started, with theirs. */
export async function descendants(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  const children = text.split(" ").filter(Boolean).map(Number);
  return [...children, ...(await Promise.all(children.map(descendants))).flat()];
}

async function endedChildrenSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ")");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13] ?? 0) + Number(fields[14] ?? 0)) / ticksPerSecond;
}

async function proportionalBytes(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
  return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * 1024;
}
