-- Put tweets at their places in the lists of top tweets, or take them out.
-- KEYS: four for each window: set, snapshots, latest, channel. ARGV: kept, trim_at, listed, watched, the number of
-- tweets, then for each window: the lowest place listed now, and for each tweet: member, place ('' to take it out).
--
-- The sentinel is the member at +inf. Its name is 'floor:<place>' when the set is served: the set is complete above the
-- floor and says nothing at or below it; '-inf': it is complete. While somebody builds it, its name is
-- 'b:<token>:<deadline ms>', and a tweet to be taken out is kept at -inf, so that the builder does not put it back.
-- Gives how many windows were told of a change among their first `watched`; a set that is not served counts as one.
local kept, trim_at, listed, watched, tweets = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]),
  tonumber(ARGV[4]), tonumber(ARGV[5])
local told = 0
for w = 0, #KEYS / 4 - 1 do
  local set, latest, channel = KEYS[4 * w + 1], KEYS[4 * w + 3], KEYS[4 * w + 4]
  local first = 6 + w * (1 + 2 * tweets)
  local name = redis.call('ZRANGE', set, -1, -1)[1]
  local floor = name and string.match(name, '^floor:(.*)$')
  if not floor then
    -- Nobody can tell what changed: who watches reads again, from MongoDB or by a rebuild.
    redis.call('SPUBLISH', channel, 'changed')
    told = told + 1
  end
  if name and not floor then
    for i = first + 1, first + 2 * tweets, 2 do
      redis.call('ZADD', set, ARGV[i + 1] == '' and '-inf' or ARGV[i + 1], ARGV[i])
    end
  elseif floor then
    local seen, moved = false, 0
    -- The sentinel has rank 0 from above, the best tweet rank 1.
    local function look(member)
      local rank = redis.call('ZREVRANK', set, member)
      seen = seen or (rank and rank <= watched)
    end
    for i = first + 1, first + 2 * tweets, 2 do
      local member, place = ARGV[i], ARGV[i + 1]
      look(member)
      if place == '' or tonumber(place) <= tonumber(floor) then
        moved = moved + redis.call('ZREM', set, member)
      else
        moved = moved + redis.call('ZADD', set, 'CH', place, member)
        look(member)
      end
    end
    -- What has expired goes, so much at a time: after a quiet hour it may be the whole list.
    local expired = redis.call('ZCOUNT', set, '-inf', '(' .. ARGV[first])
    local going = math.min(expired, 200)
    if going > 0 then redis.call('ZREMRANGEBYRANK', set, 0, going - 1) end
    local extra = redis.call('ZCARD', set) - 1 - kept
    if extra > trim_at - kept then
      local cut = redis.call('ZRANGE', set, extra - 1, extra - 1, 'WITHSCORES')
      redis.call('ZREMRANGEBYRANK', set, 0, extra - 1)
      redis.call('ZREM', set, name)
      floor = cut[2]
      redis.call('ZADD', set, '+inf', 'floor:' .. floor)
    elseif floor ~= '-inf' and kept + extra - (expired - going) < listed then
      -- What was trimmed is needed now: the next reader rebuilds.
      redis.call('UNLINK', set)
    end
    if moved > 0 then redis.call('DEL', latest) end
    if moved > 0 and seen then
      redis.call('SPUBLISH', channel, 'changed')
      told = told + 1
    end
  end
end
return told
