import type { Reporter, TestCase, TestResult } from '@playwright/test/reporter';

/** Says at the end how many tests passed, in one plain line. */
export default class ClosingLine implements Reporter {
  private readonly outcomes = new Map<string, string>();

  onTestEnd(test: TestCase, result: TestResult) {
    this.outcomes.set(test.id, result.status);
  }

  onEnd() {
    const outcomes = [...this.outcomes.values()];
    const of = (status: string) => outcomes.filter((one) => one === status).length;
    console.log(`${of('passed')} passed, ${outcomes.length - of('passed') - of('skipped')} failed, ${of('skipped')} skipped`);
  }
}
