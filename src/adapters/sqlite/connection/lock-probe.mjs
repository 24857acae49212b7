// Child process of a server that has just taken a lock: exits with 0 if the lock is refused here, with 3 if it is granted.
import { DatabaseSync } from "node:sqlite";

const busyCode = 5;
const lock = new DatabaseSync(process.argv[2] ?? "", { timeout: 0 });
try {
  lock.exec("begin exclusive");
  process.exitCode = 3;
} catch (error) {
  if ((error.errcode & 0xff) !== busyCode) throw error;
} finally {
  lock.close();
}
