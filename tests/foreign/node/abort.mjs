// Calls, and has had enough after a while: then there is no result.
export async function unlessAborted(call, ms) {
  if (ms === undefined) {
    return call(undefined);
  }
  const signal = AbortSignal.timeout(ms);
  try {
    return await call(signal);
  } catch (error) {
    if (signal.aborted) {
      return undefined;
    }
    throw error;
  }
}
