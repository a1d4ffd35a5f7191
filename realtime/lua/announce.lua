-- A top user's entry: into (or out of) their recent entries if those are kept, and numbered in the shared stream in any
-- case, at least once. KEYS: recent, on, ev. ARGV: token, '+' or '-', entry, payload, kept, trim_at, events_kept, channel.
local recent, entry = KEYS[1], ARGV[3]
local name, floor = sentinel(recent)
if name and ARGV[2] == '-' then
  redis.call('LREM', recent, 1, entry)
elseif name and tonumber(entry) > tonumber(floor) then
  local length = insert(recent, entry)
  if length and length > tonumber(ARGV[6]) + 1 then trim(recent, tonumber(ARGV[5])) end
end
-- Without a last token (a flush) a new chain begins, and the stream with it: whoever holds a position in the old one is
-- told to resync.
local prev = redis.call('HGET', KEYS[2], 'last')
if not prev then
  redis.call('DEL', KEYS[3])
  prev = ARGV[1] .. '.g'
end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], '*', 'p', prev, 't', ARGV[1], 'd', ARGV[4])
redis.call('HSET', KEYS[2], 'last', ARGV[1])
redis.call('SPUBLISH', ARGV[8], prev .. ':' .. ARGV[1] .. ':' .. ARGV[4])
return 1
