/** SQL over a number: what a peer's job carries, as many bytes as an execution keeps of a tool call. */
export function payloadOf(n: string): string {
  return `jsonb_build_object('executionId', 'wf_' || md5('e' || ${n}), 'pendingToolApproval', jsonb_build_object(
    'toolCallId', 'call_' || md5('t' || ${n}), 'toolName', 'issue_refund', 'isDelegated', false,
    'args', jsonb_build_object('orderId', md5('o' || ${n}), 'amount', ${n} % 1000 / 10.0, 'currency', 'EUR',
      'reason', 'The parcel arrived damaged; the customer sent two photos and asks for the whole amount back')))`;
}
