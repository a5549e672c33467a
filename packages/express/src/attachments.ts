import type { Dispatch, Upgrader } from '@drawbridge/core';
import type { Application, Request } from 'express';

export interface Attached {
  upgrader: Upgrader<never, Request>;
  dispatch: Dispatch;
}

const attached = new WeakMap<Application, Attached>();

/** Notes which Upgrader lets an application decide; the last one counts. */
export function noteAttachment(app: Application, attachment: Attached): void {
  attached.set(app, attachment);
}

export function attachmentOf(app: Application): Attached | undefined {
  return attached.get(app);
}
