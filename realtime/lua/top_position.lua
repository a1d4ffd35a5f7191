-- The newest token of the shared stream; begins a chain if there is none. KEYS: on. ARGV: fresh token.
redis.call('HSETNX', KEYS[1], 'last', ARGV[1])
return redis.call('HGET', KEYS[1], 'last')
