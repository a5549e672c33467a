import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a process has to take notice of SIGINT, in milliseconds, before it gets SIGKILL. */
const GRACE = 1_000;

const running = new Set<ProcessGroup>();
process.on('exit', () => {
  for (const group of running) group.kill('SIGKILL');
});

/** A process, and all that it starts: in one group, so that nobody is left behind (who leaves the group is not found). */
export class ProcessGroup {
  readonly leader: ChildProcessWithoutNullStreams;

  /** Rejects if there is no such program. */
  static async start(command: string[]): Promise<ProcessGroup> {
    const group = new ProcessGroup(command);
    await once(group.leader, 'spawn');
    running.add(group);
    return group;
  }

  private constructor([program = '', ...args]: string[]) {
    this.leader = spawn(program, args, { detached: true });
    this.leader.stdin.on('error', () => {}); // it does not want to hear more
  }

  /** Resolves when the process has ended and those it started are gone, with how it ended. */
  async end({ signal }: { signal: AbortSignal }): Promise<string> {
    const [code, killedBy] = await once(this.leader, 'exit', { signal });
    await this.stop();
    return killedBy ? `ended by ${killedBy}` : `exit code ${code}`;
  }

  /** Interrupts whoever is still there, and kills those who do not mind. */
  async stop(): Promise<void> {
    const deadline = performance.now() + GRACE;
    let there = this.kill('SIGINT');
    while (there && performance.now() < deadline) {
      await sleep(20);
      there = this.kill(0);
    }
    this.kill('SIGKILL');
  }

  /** Whether there was anybody to send it to. */
  kill(signal: NodeJS.Signals | 0): boolean {
    if (!running.has(this)) return false;
    try {
      return process.kill(-(this.leader.pid as number), signal);
    } catch {
      return !running.delete(this); // nobody; and from now on the number may be somebody else's
    }
  }
}
