-- What a reader has missed since `position`. KEYS: on, ev. ARGV: position, presence_ms (0: it does not end).
-- Gives {'lost'} if the reader is not present, {'lost', last} if the position is unknown, else {'ok', last, entries}
-- with token, payload, token, payload, ... newest first, chained from last back to the position.
local last = redis.call('HGET', KEYS[1], 'last')
if not last then return { 'lost' } end
if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if last == ARGV[1] then return { 'ok', last, {} } end
-- From the newest back: most have missed little of a stream that may be long.
local newer, upto = {}, '+'
repeat
  local part = redis.call('XREVRANGE', KEYS[2], upto, '-', 'COUNT', 50)
  for i = 1, #part do
    -- p, previous, t, token, d, payload. Nothing is given that nobody reads: every string costs Redis a copy.
    local fields = part[i][2]
    newer[#newer + 1] = fields[4]
    newer[#newer + 1] = fields[6]
    if fields[2] == ARGV[1] then return { 'ok', last, newer } end
  end
  upto = #part > 0 and '(' .. part[#part][1]
until #part < 50
return { 'lost', last }
