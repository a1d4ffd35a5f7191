-- The newest token of the shared stream; begins a chain if there is none, and with it the stream, as with a reader's
-- own: who stood in the old one must not find their place there, and read on into the new one. KEYS: on, ev. ARGV: fresh token.
if redis.call('HSETNX', KEYS[1], 'last', ARGV[1]) == 1 then redis.call('DEL', KEYS[2]) end
return redis.call('HGET', KEYS[1], 'last')
