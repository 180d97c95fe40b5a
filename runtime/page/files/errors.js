/** A `Fault` is an error that a person can mend; its message is one sentence, to be shown. */
export class Fault extends Error {
  /**
   * @param {string} message
   * @param {{retry?: boolean, wait?: number}} remedy Whether, and after how many seconds, the same
   *   may succeed.
   */
  constructor(message, { retry = false, wait = 0 } = {}) {
    super(message);
    Object.assign(this, { retry, wait });
  }
}
