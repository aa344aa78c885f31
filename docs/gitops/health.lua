-- Health of a ModelDeployment for Argo CD: resource.customizations.health.slipway.dev_ModelDeployment
-- A test runs it over recorded statuses of every stage.
local function answer(status, message)
  return { status = status, message = message }
end

if obj.metadata.deletionTimestamp ~= nil then
  return answer("Progressing", "it is being deleted")
end
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return answer("Progressing", "the operator has not looked at it yet")
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local function holds(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end
local function said(name, otherwise)
  return conditions[name] ~= nil and conditions[name].message or otherwise
end

if holds("Stalled") then
  return answer("Degraded", said("Stalled", "") .. " (" .. conditions["Stalled"].reason .. ")")
end
local stage = status.rollout ~= nil and status.rollout.stage or ""
if stage == "AwaitingApproval" or stage == "Paused" then
  return answer("Suspended", said("Ready", stage))
end
if holds("Ready") and holds("Available") then
  return answer("Healthy", said("Ready", ""))
end
if holds("Ready") then
  return answer("Degraded", said("Available", "no revision serves"))
end
return answer("Progressing", said("Ready", "a rollout is under way"))
