import { Refusal } from '@drawbridge/core';

/** What Express and its middleware put on an error about the answer to it (the conventions of `http-errors`). */
interface HttpError {
  status?: unknown;
  statusCode?: unknown;
  headers?: unknown;
  /** Whether the message is meant for the client. */
  expose?: unknown;
  message?: unknown;
}

/**
 * The refusal for an error that reached the end of the application: with the error's own status, or the one that was set
 * on the response, or 500; with its message only where that is meant for the client.
 */
export function refusalOf(error: unknown, responseStatus: number): Refusal {
  if (error instanceof Refusal) return error;
  const { status, statusCode, headers, expose, message } = Object(error) as HttpError;
  const chosen = [status, statusCode].find(isErrorStatus);
  const options = expose === true && typeof message === 'string' ? { body: message, cause: error } : { cause: error };
  if (chosen === undefined) return new Refusal(isErrorStatus(responseStatus) ? responseStatus : 500, options);
  try {
    return new Refusal(chosen, { ...options, headers: asStrings(headers) });
  } catch (cause) {
    return new Refusal(500, { cause });
  }
}

function isErrorStatus(status: unknown): status is number {
  return Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599;
}

function asStrings(headers: unknown): Record<string, string | string[]> {
  const fields = Object.entries(Object(headers) as Record<string, unknown>);
  return Object.fromEntries(
    fields.map(([name, value]) => [name, Array.isArray(value) ? value.map(String) : String(value)]),
  );
}
