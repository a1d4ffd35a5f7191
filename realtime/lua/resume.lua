-- What a reader has missed since `position`. KEYS: on, ev. ARGV: position, presence_ms (0: it does not end).
-- Gives {'lost'} if the reader is not present, {'lost', last} if the position is unknown, else {'ok', last, entries}
-- with entries as XRANGE gives them, oldest first, chained from the position to last.
local last = redis.call('HGET', KEYS[1], 'last')
if not last then return { 'lost' } end
if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if last == ARGV[1] then return { 'ok', last, {} } end
local entries = redis.call('XRANGE', KEYS[2], '-', '+')
for i = 1, #entries do
  if entries[i][2][2] == ARGV[1] then
    local missed = {}
    for j = i, #entries do missed[#missed + 1] = entries[j][2] end
    return { 'ok', last, missed }
  end
end
return { 'lost', last }
