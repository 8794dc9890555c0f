-- Begins every script of the outbox. ARGV[1] is what all keys of the shard begin with. KEYS[1] is due. KEYS[2] never exists; keys in sharded.go says why.
--
-- due   sorted set: the tasks, 32 bytes each, by the time of their next look, or of the end of their lease, in Unix milliseconds
-- sent  set: those of them that are sent
local call, due, sent = redis.call, KEYS[1], ARGV[1] .. 'sent'
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Gives a task a new time. A full Redis allows the first command, and after it whatever the script writes.
local function move(task, at)
  call('ZREM', due, 'none')
  call('ZADD', due, at, task)
end

