-- Put an author's entries into one timeline; the floor rises to `cut`, where the entries given end (0: they do not).
-- KEYS: tl, on, ev. ARGV: nonce (empty: tell nobody), kept, events_kept, ttl_ms, tag, reader, cut, entries
-- newest first...
local tl, on, tail = KEYS[1], KEYS[2], '{' .. ARGV[5] .. '}:' .. ARGV[6]
local name, floor = sentinel(tl)
if not name then
  redis.call('DEL', on)
  return 0
end
fill(tl, name, floor, ARGV[7], 8)
trim(tl, tonumber(ARGV[2]))
if ARGV[1] == '' then return 0 end
return number(tail, ARGV[1], 0, 's:FOLLOWS_CHANGED', ARGV[3], ARGV[4])
