// A list with pages behind one field of a query: what of it is there, and how to get more.
import type { OperationVariables, TypedDocumentNode } from '@apollo/client';
import { NetworkStatus } from '@apollo/client';
import { useQuery } from '@apollo/client/react';
import { useState } from 'react';

interface Connection<Edge> {
  edges: readonly Edge[];
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
}

export interface List<Edge, Data> {
  data: Data | undefined;
  edges: readonly Edge[];
  hasMore: boolean;
  busy: boolean;
  error: unknown;
  more: () => void;
  refetch: () => void;
}

/** Shows what is kept at once and asks again; the next pages join on. */
export function useConnection<Data, Variables extends OperationVariables, Edge>(
  query: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  connectionOf: (data: Data) => Connection<Edge> | null | undefined,
  skip = false,
): List<Edge, Data> {
  const [failure, setFailure] = useState<unknown>(null);
  const asked = { variables, skip, fetchPolicy: 'cache-and-network', nextFetchPolicy: 'cache-first' } as const;
  const { data, error, networkStatus, fetchMore, refetch } = useQuery<Data, OperationVariables>(query, asked);
  const connection = data ? connectionOf(data as Data) : null;
  const busy = networkStatus === NetworkStatus.loading || networkStatus === NetworkStatus.fetchMore;
  const again = () => void refetch().catch(setFailure);
  const more = () => {
    setFailure(null);
    if (!connection) again();
    else void fetchMore({ variables: { after: connection.pageInfo.endCursor } }).catch(setFailure);
  };
  return {
    data: data as Data | undefined,
    edges: connection?.edges ?? [],
    hasMore: connection?.pageInfo.hasNextPage ?? Boolean(error),
    busy,
    error: failure ?? error,
    more,
    refetch: again,
  };
}
