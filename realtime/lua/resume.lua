-- What a reader has missed since `position`. KEYS: on, ev. ARGV: position, presence_ms (0: it does not end).
-- Gives {'lost'} if the reader is not present, {'lost', last} if the position is unknown, else {'ok', last, entries}
-- with entries as XRANGE gives them, oldest first, chained from the position to last.
local last = redis.call('HGET', KEYS[1], 'last')
if not last then return { 'lost' } end
if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if last == ARGV[1] then return { 'ok', last, {} } end
-- From the newest back: most have missed little of a stream that may be long.
local newer, upto = {}, '+'
repeat
  local part = redis.call('XREVRANGE', KEYS[2], upto, '-', 'COUNT', 50)
  for i = 1, #part do
    newer[#newer + 1] = part[i][2]
    if part[i][2][2] == ARGV[1] then
      local missed = {}
      for j = #newer, 1, -1 do missed[#missed + 1] = newer[j] end
      return { 'ok', last, missed }
    end
  end
  upto = #part > 0 and '(' .. part[#part][1]
until #part < 50
return { 'lost', last }
