-- A page of top tweets, best first. KEYS: set, snapshots, latest.
-- ARGV: count, lowest place listed now, now_ms, the snapshot to read or to go on in ('' for none), position in it,
-- and behind what to go on if it is gone (place, member; '' for the first page), an id for a new snapshot ('' for
-- none wanted), listed, snapshots kept, snapshot ttl_ms.
-- Gives {state, snapshot, at_ms, rows}: state is 'missing', 'building', 'below' (the page reaches below what is kept)
-- or 'served'; rows: member, place, member, ...
local set, snapshots, latest = KEYS[1], KEYS[2], KEYS[3]
local count, lowest, position = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[5])

-- Its first member, above all places, is when it was made.
local function of_snapshot(id)
  local snapshot = snapshots .. ':' .. id
  local at = redis.call('ZRANGE', snapshot, -1, -1)[1]
  if not at then return nil end
  return { 'served', id, string.sub(at, 4),
    redis.call('ZRANGE', snapshot, 1 + position, position + count, 'REV', 'WITHSCORES') }
end

if ARGV[4] ~= '' then
  local found = of_snapshot(ARGV[4])
  if found then return found end
end
local name = redis.call('ZRANGE', set, -1, -1)[1]
if not name then return { 'missing' } end
if string.sub(name, 1, 6) ~= 'floor:' then return { 'building' } end

if ARGV[6] ~= '' then
  local rows = {}
  -- Of those at the same place the lower ids are behind it.
  for _, member in ipairs(redis.call('ZRANGE', set, ARGV[6], ARGV[6], 'BYSCORE', 'REV')) do
    if member < ARGV[7] and #rows < 2 * count then
      rows[#rows + 1] = member
      rows[#rows + 1] = ARGV[6]
    end
  end
  local below = redis.call('ZRANGE', set, '(' .. ARGV[6], lowest, 'BYSCORE', 'REV', 'LIMIT', 0, count - #rows / 2,
    'WITHSCORES')
  for i = 1, #below do rows[#rows + 1] = below[i] end
  if #rows < 2 * count and name ~= 'floor:-inf' then return { 'below' } end
  return { 'served', '', ARGV[3], rows }
end

if ARGV[8] == '' then
  return { 'served', '', ARGV[3],
    redis.call('ZRANGE', set, '(+inf', lowest, 'BYSCORE', 'REV', 'LIMIT', 0, count, 'WITHSCORES') }
end
local known = redis.call('GET', latest)
local found = known and of_snapshot(known)
if found then return found end
local snapshot = snapshots .. ':' .. ARGV[8]
-- Copied by Redis itself: a thousand rows that pass through here hold it up for milliseconds. By rank, below the
-- sentinel: by score it takes three times as long.
local rows = math.min(tonumber(ARGV[9]), redis.call('ZCOUNT', set, lowest, '(+inf'))
if rows > 0 then redis.call('ZRANGESTORE', snapshot, set, -1 - rows, -2) end
redis.call('ZADD', snapshot, '+inf', 'at:' .. ARGV[3])
redis.call('PEXPIRE', snapshot, ARGV[11])
redis.call('SET', latest, ARGV[8], 'PX', 1000)
if redis.call('LPUSH', snapshots, ARGV[8]) > tonumber(ARGV[10]) then
  redis.call('UNLINK', snapshots .. ':' .. redis.call('RPOP', snapshots))
end
redis.call('PEXPIRE', snapshots, ARGV[11])
return of_snapshot(ARGV[8])
